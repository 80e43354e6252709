package postback

// AppendString is the string encoder, for tests to attack.
var AppendString = appendString
