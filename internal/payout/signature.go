package payout

import (
	"bytes"
	"crypto/md5"  //nolint:gosec // the merchants' integrations fix the algorithm (protocol, section 6)
	"crypto/sha1" //nolint:gosec // likewise
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Errors of a request's signature.
var (
	// ErrSignature means that the signature is missing or not right.
	ErrSignature = errors.New("the signature is not right: sign the values of all fields but signature, sorted by name, with the withdrawal private key")
	// ErrAmbiguous means that a text could be cut into fields in two ways under one
	// signature.
	ErrAmbiguous = errors.New("must not have a colon or line break: the signature joins values with colons")
)

// FieldError is a field that can't be signed.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Field + " " + e.Err.Error() }

// Unwrap is the reason.
func (e *FieldError) Unwrap() error { return e.Err }

// VerifySignature checks the signature of a request (protocol, section 6):
// sha1(private_key + md5(values)), in hex. The error is ErrSignature, or a
// *FieldError where the body is no object that can be signed.
func VerifySignature(key string, body []byte) error {
	fields, err := readValue(json.NewDecoder(bytes.NewReader(body)))
	if err != nil {
		return &FieldError{"body", err}
	}
	object, ok := fields.(object)
	if !ok {
		return &FieldError{"body", errors.New("must be a JSON object")}
	}
	given, _ := object["signature"].(text)
	delete(object, "signature")
	signed, err := object.signed("")
	if err != nil {
		return err
	}
	want := Sign(key, signed)
	if key == "" || subtle.ConstantTimeCompare([]byte(strings.ToLower(string(given))), []byte(want)) != 1 {
		return ErrSignature
	}
	return nil
}

// Sign is the signature of values that were joined already.
func Sign(key, values string) string {
	digest := md5.Sum([]byte(values))                            //nolint:gosec // fixed by the protocol
	sum := sha1.Sum([]byte(key + hex.EncodeToString(digest[:]))) //nolint:gosec // likewise
	return hex.EncodeToString(sum[:])
}

// The values of JSON, as far as they are signed: numbers as they were written.
type (
	object map[string]any
	text   string
)

// signed joins the values, sorted by the names that were sent (byte order).
func (o object) signed(path string) (string, error) {
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	values := make([]string, len(names))
	for i, name := range names {
		switch v := o[name].(type) {
		case text:
			// A colon would let a value reach into the next field: another request
			// would have the same signature.
			if strings.ContainsAny(string(v), ":\r\n") {
				return "", &FieldError{path + name, ErrAmbiguous}
			}
			values[i] = string(v)
		case object:
			inner, err := v.signed(path + name + ".")
			if err != nil {
				return "", err
			}
			values[i] = inner
		default:
			return "", &FieldError{path + name, errors.New("must be a text, a number, a switch or an object")}
		}
	}
	return strings.Join(values, ":"), nil
}

// maxDepth bounds how deep objects may nest.
const maxDepth = 8

// readValue reads one JSON value. A name that comes twice is refused: two readers
// of one request must not see two.
func readValue(d *json.Decoder) (any, error) {
	d.UseNumber()
	v, err := readNested(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("must be one JSON object and nothing behind it")
	}
	return v, nil
}

func readNested(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("must be JSON")
	}
	switch t := token.(type) {
	case string:
		return text(t), nil
	case json.Number:
		return text(t.String()), nil
	case bool:
		if t {
			return text("1"), nil
		}
		return text(""), nil
	case nil:
		return text(""), nil
	case json.Delim:
		if t != '{' || depth >= maxDepth {
			return nil, errors.New("must hold no lists, and objects at most 8 deep")
		}
	}
	o := make(object)
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, errors.New("must be JSON")
		}
		name, ok := token.(string)
		if _, twice := o[name]; twice || !ok {
			return nil, fmt.Errorf("has a field twice: %.40q", name)
		}
		if o[name], err = readNested(d, depth+1); err != nil {
			return nil, err
		}
	}
	if _, err := d.Token(); err != nil { // }
		return nil, errors.New("must be JSON")
	}
	return o, nil
}
