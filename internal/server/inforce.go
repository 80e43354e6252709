package server

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/milaan/milaan/internal/console"
	"github.com/milaan/milaan/internal/directory"
)

// Where a setting is from.
const (
	fromFlag        = "flag"
	fromEnvironment = "environment"
	fromFile        = "file"
	fromDefault     = "default"
)

// inForce are the settings as they may be shown: no secret, and no password or
// token in an address.
func (c Config) inForce() []console.Setting {
	values := reflect.ValueOf(c)
	list := make([]console.Setting, 0, len(Settings()))
	for _, s := range Settings() {
		value := values.FieldByName(s.field)
		shown := console.Setting{Name: s.Name, Help: s.Help, Value: withoutSecrets(fmt.Sprint(value.Interface())), Source: fromDefault}
		if source, ok := c.sources[s.Name]; ok {
			shown.Source = source
		}
		_, shown.Secret = reflect.TypeAssert[directory.Secret](value)
		list = append(list, shown)
	}
	return list
}

// withoutSecrets masks what an address may hold: a password, and what follows the
// question mark.
func withoutSecrets(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil {
		return "…" // what it is can't be told from what it hides
	}
	if u.RawQuery != "" {
		u.RawQuery = "…"
	}
	u.Fragment = ""
	return u.Redacted()
}
