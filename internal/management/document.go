package management

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

const securityScheme = "key"

// version is that of the API, not the program's.
const version = "3.0"

// describe begins the document that operations add themselves to.
func describe() huma.Config {
	registry := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "milaan", Version: version,
				Description: "The management API, /v3: merchants look at their own deposits, withdrawals, postbacks and account, and see to their postbacks; operators run the installation and decide on withdrawals. " +
					"Beside it the legacy protocol, which merchants' integrations speak.\n\n" +
					"Amounts are exact texts beside their currency. Times are RFC 3339, UTC. Errors are problems (RFC 9457). " +
					"Lists are read page by page: send next of one as after of the following. " +
					"Every call that changes something needs an Idempotency-Key: sent twice, it is done once.",
			},
			Components: &huma.Components{
				Schemas: registry,
				SecuritySchemes: map[string]*huma.SecurityScheme{
					securityScheme: {Type: "http", Scheme: "bearer", Description: "A key of milaan keys add: Authorization: Bearer mln_…. Its scopes are named with each operation."},
					secretScheme:   {Type: "apiKey", In: "query", Name: "secret", Description: "Legacy protocol: the merchant's plugin API secret. Authorization: Bearer … is taken as well, and kept out of logs."},
				},
			},
			Tags: []*huma.Tag{
				{Name: "Deposits"}, {Name: "Withdrawals"}, {Name: "Postbacks"}, {Name: "Account"}, {Name: "Reviews"}, {Name: "Credits"}, {Name: "Feeds"},
				{Name: "Installation"}, {Name: "Keys"}, {Name: legacyTag, Description: "What merchants' servers have long spoken, on api.{server_URL}. Business outcomes answer 200, with status."},
			},
		},
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{unechoed},
	}
}

// finish adds what no operation declares, and gives the document as it is served.
func finish(doc *huma.OpenAPI) ([]byte, error) {
	registry := doc.Components.Schemas
	problem := registry.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for path, item := range doc.Paths {
		for method, op := range operationsOf(item) {
			for status, response := range op.Responses {
				code, err := strconv.Atoi(status)
				if err == nil && code < http.StatusBadRequest {
					continue
				}
				if err != nil || len(response.Content) == 0 {
					return nil, fmt.Errorf("%s %s: answer %q is not described", method, path, status)
				}
				response.Content = map[string]*huma.MediaType{problemType: {Schema: problem}}
			}
		}
	}
	// The library's own form of errors, which nothing answers with.
	delete(registry.Map(), "ErrorModel")
	delete(registry.Map(), "ErrorDetail")
	legacy(doc)
	text, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the OpenAPI document: %w", err)
	}
	if bytes.Contains(text, []byte("ErrorModel")) {
		return nil, fmt.Errorf("the OpenAPI document names the library's errors")
	}
	return append(text, '\n'), nil
}

func operationsOf(item *huma.PathItem) map[string]*huma.Operation {
	all := map[string]*huma.Operation{http.MethodGet: item.Get, http.MethodPost: item.Post, http.MethodPut: item.Put, http.MethodDelete: item.Delete}
	for method, op := range all {
		if op == nil {
			delete(all, method)
		}
	}
	return all
}

const (
	legacyTag    = "Legacy protocol"
	secretScheme = "secret"
)

// legacy adds the routes of package api, and the postback that it leads to.
func legacy(doc *huma.OpenAPI) {
	text := func(most int, about string) *huma.Schema {
		s := &huma.Schema{Type: huma.TypeString, Description: about}
		if most > 0 {
			least := 1
			s.MinLength, s.MaxLength = &least, &most
		}
		return s
	}
	number := func(about string) *huma.Schema { return &huma.Schema{Type: huma.TypeNumber, Description: about} }
	object := func(required string, properties map[string]*huma.Schema) *huma.Schema {
		s := &huma.Schema{Type: huma.TypeObject, Properties: properties}
		if required != "" {
			s.Required = strings.Fields(required)
		}
		return s
	}
	schemas := doc.Components.Schemas.Map()
	ref := func(name string) *huma.Schema { return &huma.Schema{Ref: "#/components/schemas/" + name} }
	schemas["LegacyFailure"] = object("status message", map[string]*huma.Schema{
		"status": {Type: huma.TypeString, Enum: []any{"fail"}}, "message": text(0, "For the merchant's developers."),
		"errors": {Type: huma.TypeObject, Description: "What is wrong, by field.", AdditionalProperties: &huma.Schema{Type: huma.TypeArray, Items: text(0, "")}},
	})
	schemas["LegacyOutcome"] = object("status", map[string]*huma.Schema{
		"status": {Type: huma.TypeString, Enum: []any{"ok", "pending", "possible_transaction_created", "fail"},
			Description: "ok: credited; pending: in review; possible_transaction_created: no feed has reported the UTR yet; fail: no money."},
		"message": text(0, ""), "deposit": {Type: huma.TypeBoolean}, "deposit_amount": number("Rupees, exact."),
		"currency": object("", map[string]*huma.Schema{"code": text(0, ""), "symbol": text(0, "")}),
	})
	json200 := func(about string, schema *huma.Schema) map[string]*huma.Response {
		answer := func(about string, schema *huma.Schema) *huma.Response {
			return &huma.Response{Description: about, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
		}
		return map[string]*huma.Response{
			"200": answer(about, schema),
			"400": answer("Not well formed", ref("LegacyFailure")),
			"404": {Description: "Not found: also where the secret is missing or wrong"},
			"429": answer("Too many requests: Retry-After says when to come again", ref("LegacyFailure")),
			"500": answer("A fault of the gateway", ref("LegacyFailure")),
		}
	}
	body := func(schema *huma.Schema) *huma.RequestBody {
		return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/json": {Schema: schema}}}
	}
	param := func(in, name string, required bool, about string) *huma.Param {
		return &huma.Param{Name: name, In: in, Required: required || in == "path", Description: about, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	security := []map[string][]string{{secretScheme: {}}}
	operation := func(id, summary, description string, op huma.Operation) *huma.Operation {
		op.OperationID, op.Summary, op.Description, op.Tags = id, summary, description, []string{legacyTag}
		if op.Security == nil {
			op.Security = security
		}
		return &op
	}

	doc.Paths["/api/v1/transaction/create/{wallet_type}"] = &huma.PathItem{Post: operation("legacy-create", "Create a payment",
		"Gives the wallet to pay to. The same label gets the same wallet while its assignment is live.", huma.Operation{
			Parameters: []*huma.Param{param("path", "wallet_type", true, "upi_l, upi_ib, upi_hb, upi_in, upi_w, upi_m, or another that is configured.")},
			RequestBody: body(object("currency label", map[string]*huma.Schema{
				"currency": text(3, "INR"), "label": text(190, "The merchant's identifier of the paying user."), "amount": number("Rupees; the link and QR text then hold it."),
			})),
			Responses: json200("ok with the wallet, or fail", &huma.Schema{OneOf: []*huma.Schema{
				object("status params", map[string]*huma.Schema{
					"status": {Type: huma.TypeString, Enum: []any{"ok"}},
					"params": object("identifier", map[string]*huma.Schema{
						"identifier": text(0, "The VPA to pay to."), "name": text(0, "The payee's name."), "upi_link": text(0, "upi://pay?…, for a link or QR code."), "expires_at": text(0, "Until when the wallet is the payer's."),
					}),
				}), ref("LegacyFailure"),
			}}),
		})}
	doc.Paths["/api/v1/transaction/activate"] = &huma.PathItem{Post: operation("legacy-activate", "Activate a payment",
		"Claims a payment by its UTR. Idempotent: the same custom_transaction_id with the same content gives that claim's present outcome.", huma.Operation{
			RequestBody: body(object("currency_code wallet_type label key1 amount custom_transaction_id", map[string]*huma.Schema{
				"currency_code": text(3, "INR"), "wallet_type": text(190, ""), "label": text(190, "The paying user."),
				"key1": text(190, "The UTR: 12 digits."), "amount": number("Rupees, at most two decimals."), "custom_transaction_id": text(190, "The merchant's own transaction id, unique."),
			})),
			Responses: json200("The outcome", ref("LegacyOutcome")),
		})}
	doc.Paths["/api/v1/transaction/status"] = &huma.PathItem{Get: operation("legacy-status", "Get a payment's outcome", "", huma.Operation{
		Parameters: []*huma.Param{param("query", "custom_transaction_id", true, "")},
		Responses: json200("The outcome, and which payment it is of", &huma.Schema{AllOf: []*huma.Schema{ref("LegacyOutcome"), object("", map[string]*huma.Schema{
			"custom_transaction_id": text(0, ""), "label": text(0, ""), "created_datetime": text(0, "In the merchant's time zone."), "activated_datetime": text(0, "In the merchant's time zone."),
		})}}),
	})}
	doc.Paths["/api/v1/payment-systems/available"] = &huma.PathItem{Get: operation("legacy-available", "List payment methods that are usable now", "", huma.Operation{
		Parameters: []*huma.Param{param("query", "currency_code[]", false, "INR"), param("query", "label", false, "The paying user.")},
		Responses: json200("The methods", object("status params", map[string]*huma.Schema{
			"status": {Type: huma.TypeString, Enum: []any{"ok"}},
			"params": object("currency_data wallets", map[string]*huma.Schema{
				"currency_data": {Type: huma.TypeArray, Items: object("", map[string]*huma.Schema{"code": text(0, ""), "symbol": text(0, "")})},
				"wallets": {Type: huma.TypeArray, Items: object("", map[string]*huma.Schema{
					"type": text(0, ""), "currency_code": text(0, ""), "order": {Type: huma.TypeInteger}, "name": text(0, ""), "logo": text(0, "Where its drawing is."), "is_manual": {Type: huma.TypeBoolean},
				})},
			}),
		})),
	})}
	withdrawn := json200("ok, or fail; where the balance does not cover it, message names withdrawals_sum_amount", object("status", map[string]*huma.Schema{
		"status": {Type: huma.TypeString, Enum: []any{"ok", "fail"}}, "withdrawal_id": text(0, ""), "message": {Description: "A text, or an object by field."},
	}))
	withdrawn["403"] = &huma.Response{Description: "The signature is not right", Content: withdrawn["400"].Content}
	doc.Paths["/v2/withdrawal/create"] = &huma.PathItem{Post: operation("legacy-withdraw", "Create a withdrawal",
		"The merchant is known by the host, api.{server_URL}, on a single host by merchant; the signature proves it. Idempotent by withdrawal_id.", huma.Operation{
			Security:   []map[string][]string{},
			Parameters: []*huma.Param{param("query", "merchant", false, "The merchant's id, on a single host.")},
			RequestBody: body(object("payment_system amount currency_code label account_number account_name bank_details signature", map[string]*huma.Schema{
				"withdrawal_id": text(36, "Unique for the merchant; made where it is absent."), "payment_system": text(0, "imps_ib"), "amount": number("Rupees, at most two decimals."),
				"currency_code": text(3, "INR"), "is_test": {Type: huma.TypeBoolean, Description: "Moves no money."}, "label": text(36, ""),
				"account_number": text(0, "9 to 18 digits."), "account_name": text(30, "Letters and spaces."),
				"bank_details":     object("", map[string]*huma.Schema{"branch_code": text(0, "The IFSC."), "bank_code": text(0, "Taken in its place.")}),
				"payments_details": {Type: huma.TypeObject}, "signature": text(0, "sha1(private_key + md5 of all other values, sorted by name, joined with colons)."),
			})),
			Responses: withdrawn,
		})}
	doc.Paths["/v2/withdrawal/status"] = &huma.PathItem{Get: operation("legacy-withdrawal-status", "Get a withdrawal's state", "", huma.Operation{
		Parameters: []*huma.Param{param("query", "withdrawal_id", true, "")},
		Responses: json200("The withdrawal, or fail", object("status", map[string]*huma.Schema{
			"status": {Type: huma.TypeString, Enum: []any{"ok", "fail"}}, "withdrawal_id": text(0, ""),
			"withdrawal_status": {Type: huma.TypeString, Enum: []any{"new", "approved", "processing", "success", "failed", "canceled"}},
			"amount":            number("Rupees, exact."), "currency_code": text(0, ""), "label": text(0, ""),
			"transaction_id":   {Type: huma.TypeString, Nullable: true, Description: "The bank's reference; null before it is known."},
			"created_datetime": text(0, "In the merchant's time zone."), "settled_datetime": {Type: huma.TypeString, Nullable: true, Description: "Null before it is final."},
			"message": text(0, ""),
		})),
	})}
	doc.Paths["/v2/balance"] = &huma.PathItem{Get: operation("legacy-balance", "Get the balance", "", huma.Operation{
		Responses: json200("By currency", object("status balances", map[string]*huma.Schema{
			"status": {Type: huma.TypeString, Enum: []any{"ok"}},
			"balances": {Type: huma.TypeArray, Items: object("", map[string]*huma.Schema{
				"currency_code": text(0, ""), "balance": number("Rupees, exact."), "held": number("By withdrawals under way."), "available": number("What may be withdrawn."),
			})},
		})),
	})}
	doc.Webhooks = map[string]*huma.PathItem{"deposit": {Post: operation("legacy-postback", "A deposit's or withdrawal's postback",
		"Sent to the merchant's postback URL once a deposit is credited or a withdrawal comes to its end, until it is answered 200 with {\"status\":\"ok\"}. docs/postbacks.md explains every key and both signatures.", huma.Operation{
			Security: []map[string][]string{},
			Parameters: []*huma.Param{
				param("header", "webhook-id", true, "Standard Webhooks."), param("header", "webhook-timestamp", true, "Standard Webhooks."),
				param("header", "webhook-signature", true, "Standard Webhooks: v1, and an HMAC-SHA256."),
			},
			RequestBody: body(object("", map[string]*huma.Schema{
				"signature": text(0, "The legacy signature, over additional_data."), "amount": number(""), "label": text(0, ""), "direction": {Type: huma.TypeString, Enum: []any{"ingoing", "outgoing"}},
				"additional_data": {Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeObject}},
			})),
			Responses: map[string]*huma.Response{"200": {Description: "Taken", Content: map[string]*huma.MediaType{"application/json": {
				Schema: object("status", map[string]*huma.Schema{"status": {Type: huma.TypeString, Enum: []any{"ok"}}}),
			}}}},
		})}}
}
