package deposit

import (
	"errors"

	"github.com/milaan/milaan/internal/trace"
)

// passage is what is traced of a request's way through the desk. A nil one is of
// a request that nobody traces.
type passage struct {
	request trace.Span // below which the others stand
	wait    trace.Span // until a batch takes it
	commit  trace.Span // the batch's transaction, as this request sees it
}

// passing begins the passage of a request that is about to queue.
func (d *Desk) passing(p *pending) {
	if !d.Tracer.On() {
		return
	}
	if request := trace.Of(p.ctx); request.Traced() {
		p.passage = &passage{request: request, wait: request.Child("wait for a batch")}
	}
}

// leave ends what is traced of a request, before it is answered.
func (s *passage) leave(err error) {
	if s == nil {
		return
	}
	s.wait.End()
	if refusal, ok := errors.AsType[*Refusal](err); ok {
		s.commit.Tell(trace.Refusal(string(refusal.Code)))
	} else if err != nil && !errors.Is(err, ErrNoClaim) {
		s.commit.Fail()
	}
	s.commit.End()
}

// answer ends a request.
func (p *pending) answer(err error) {
	p.passage.leave(err)
	p.done <- err
}

// shared begins what is traced of a batch: a span of its own, and one in the trace
// of each of its requests, that point to each other.
func (d *Desk) shared(batch []*pending) trace.Span {
	if !d.Tracer.On() {
		return trace.Span{}
	}
	var requests []trace.Span
	for _, p := range batch {
		if p.passage != nil {
			p.passage.wait.End()
			p.passage.commit = p.passage.request.Child("commit")
			requests = append(requests, p.passage.commit)
		}
	}
	all := d.Tracer.Together("batch", requests)
	all.Tell(trace.Requests(len(batch)))
	for _, commit := range requests {
		commit.Link(all)
	}
	return all
}

// tracing is what a book records of its own decisions. A nil one records nothing.
type tracing struct {
	tracer *trace.Tracer
	// made is the trace that claims made now are of, as a text.
	made string
	// settled are spans in the traces of claims that came before. They end when
	// what they tell is durable, and never were where it is not.
	settled []trace.Span
}

// decided runs a command, and records what it decided: on the claim that it made,
// in its own trace; on claims that waited, in theirs.
func (t *tracing) decided(b *book, p *pending) error {
	if t == nil {
		return p.run(b)
	}
	var match, request trace.Span
	t.made = ""
	if p.passage != nil {
		request = p.passage.request
		match = p.passage.commit.Child("match")
		t.made = request.Text()
	}
	made, changed := len(b.changes.NewClaims), len(b.changes.Claims)
	err := p.run(b)
	if match.Traced() {
		match.Tell(trace.Command(p.name()))
		if g, ok := p.command.(*ingest); ok {
			match.Tell(trace.Items(len(g.items)))
		}
		for _, c := range b.changes.NewClaims[made:] {
			match.Tell(standing(c)...)
		}
	}
	for _, c := range b.changes.Claims[changed:] {
		if c.Trace == "" {
			continue
		}
		s := t.tracer.Continue(c.Trace, "settle")
		s.Tell(append(standing(c), trace.Command(p.name()))...)
		s.Link(request)
		match.LinkTo(c.Trace)
		t.settled = append(t.settled, s)
	}
	match.End()
	return err
}

// standing is what a trace tells of a claim.
func standing(c *Claim) []trace.Attribute {
	list := []trace.Attribute{trace.Claim(c.ID), trace.State(string(c.State))}
	if len(c.Reasons) > 0 {
		list = append(list, trace.Reasons(c.Reasons.String()))
	}
	return list
}

// durable ends what was held back until the commit.
func (t *tracing) durable() {
	if t == nil {
		return
	}
	for _, s := range t.settled {
		s.End()
	}
}
