// Package directory holds who is paid, where and under which rules: merchants,
// payment methods, wallets, feeds, operator rules and payout desks: everything
// `milaan apply` declares.
//
// The whole directory is small and read on every request, so a running gateway
// keeps it as one immutable [Snapshot] and replaces the snapshot when the
// stored version moves on.
package directory
