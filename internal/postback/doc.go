// Package postback tells merchants that money came: it makes the body and its
// signatures (protocol §5) and delivers it from the outbox, again and again on
// a growing schedule, until the merchant confirms it or the schedule ends.
//
// An event's outbox row is written in the commit of its deposit, so nothing is
// told that is not durable and nothing durable goes untold. Delivery is at
// least once: a merchant that was slow to answer, or a gateway that died
// before it could record the answer, makes a repeat. A repeat carries the same
// webhook-id and the same bytes.
package postback
