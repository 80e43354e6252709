// Package alert reads the text of the alerts that Indian banks send by SMS and
// e-mail: what moved, how much, under which UTR.
//
// A bank's known texts are templates, and templates are data: one file a bank
// in banks/, with its examples beside them (docs/feeds-templates.md). What no
// template fits goes to the general reader, which knows no bank but how banks
// write. It first looks for whatever speaks against a credit anywhere in the
// text, then asks for everything that a credit needs: the own account, a verb
// that credits it, exactly one amount that moved, and a UTR that is named as
// one. When anything is unclear the reading is [feed.Unparsed]: a person can
// look at a text that was not read, but money that was credited wrongly is
// gone.
//
// The package judges the text alone. Whether a bank sent it at all is for the
// caller to know, by the sender's header or a signature.
package alert
