package client

// What holds secrets shows none of them when it is printed or logged.

// String names the gateway and the merchant.
func (c Config) String() string {
	return "client.Config{API: " + c.API + ", Merchant: " + c.Merchant + "}"
}

// GoString is String, for %#v.
func (c Config) GoString() string { return c.String() }

// String names the gateway and the merchant.
func (c *Client) String() string {
	return "client.Client{API: " + c.config.API + ", Merchant: " + c.config.Merchant + "}"
}

// GoString is String, for %#v.
func (c *Client) GoString() string { return c.String() }

// String tells nothing.
func (k Keys) String() string { return "client.Keys{…}" }

// GoString is String, for %#v.
func (k Keys) GoString() string { return k.String() }

// String tells nothing.
func (v *Verifier) String() string { return "client.Verifier{…}" }

// GoString is String, for %#v.
func (v *Verifier) GoString() string { return v.String() }

// String tells nothing.
func (c WebhookConfig) String() string { return "client.WebhookConfig{…}" }

// GoString is String, for %#v.
func (c WebhookConfig) GoString() string { return c.String() }

// String tells nothing.
func (v *WebhookVerifier) String() string { return "client.WebhookVerifier{…}" }

// GoString is String, for %#v.
func (v *WebhookVerifier) GoString() string { return v.String() }
