package postback

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string exactly as PHP's
// json_encode(…, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE) writes it
// (protocol §5): the signature covers these bytes, and a merchant makes them
// again from the parsed text. So slashes, <, >, &, DEL and letters of all
// scripts stand as they are, control characters are escaped with lower-case
// digits, and so are U+2028 and U+2029, which PHP escapes since 7.1.
// (JavaScript and Python leave those two alone; no field that is signed has
// reason to hold them.) What is not UTF-8 becomes U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0 // start of what is not yet copied
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		r, size := rune(c), 1
		if c >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(s[i:])
			valid := r != utf8.RuneError || size > 1
			if valid && r != '\u2028' && r != '\u2029' {
				i += size
				continue
			}
		}
		dst = append(dst, s[plain:i]...)
		dst = appendEscaped(dst, r)
		i += size
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

func appendEscaped(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	case utf8.RuneError:
		return utf8.AppendRune(dst, r)
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}

// appendNullable appends s as a JSON string, "" as null.
func appendNullable(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, "null"...)
	}
	return appendString(dst, s)
}
