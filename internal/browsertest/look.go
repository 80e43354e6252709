package browsertest

import (
	"context"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Complaints are what the browser has to say against a page.
type Complaints struct {
	mu    sync.Mutex
	texts []string
}

// Listen notes exceptions and errors of a tab: what the policy blocks is among
// them. An answer that is no 200 is none: the page that came with it is.
func Listen(ctx context.Context, t *testing.T) *Complaints {
	t.Helper()
	var c Complaints
	err := chromedp.Listen(ctx, func(event any) {
		text := ""
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			text = e.ExceptionDetails.Text
		case *log.EventEntryAdded:
			if e.Entry.Level == log.EntryLevelError && e.Entry.Source != log.EntrySourceNetwork {
				text = e.Entry.Text
			}
		}
		if text != "" {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.texts = append(c.texts, text)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return &c
}

// Take gives what was heard since the last time.
func (c *Complaints) Take() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	heard := c.texts
	c.texts = nil
	return heard
}

// illegible names texts that lie over one another, past the screen's edge, or
// in more lines than they have words.
// What is clipped is for screen readers. What is not to be translated is for machines, and breaks anywhere. A line of text may reach into the next by what the font has to spare.
const illegible = `(() => {
	const clipped = e => e && (getComputedStyle(e).clipPath !== "none" || clipped(e.parentElement));
	const found = [], texts = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const node = walk.currentNode, parent = node.parentElement;
		if (!node.data.trim() || !parent.checkVisibility() || clipped(parent) || parent.closest("script,style,noscript,svg")) continue;
		const range = document.createRange();
		range.selectNodeContents(node);
		const lines = [...range.getClientRects()].filter(r => r.width > 1);
		if (!parent.closest("[translate=no]") && lines.length > node.data.trim().split(/[\s@-]+/).length) found.push("broken: " + node.data.trim());
		for (const r of lines) texts.push({node, r, spare: r.height / 4});
	}
	for (const [i, a] of texts.entries()) {
		if (a.r.left < -1 || a.r.right > innerWidth + 1) found.push("past the edge: " + a.node.data.trim());
		for (const b of texts.slice(i + 1)) {
			if (a.node !== b.node && Math.min(a.r.right, b.r.right) - Math.max(a.r.left, b.r.left) > 1 &&
				Math.min(a.r.bottom, b.r.bottom) - Math.max(a.r.top, b.r.top) > Math.max(a.spare, b.spare))
				found.push("over one another: " + a.node.data.trim() + " / " + b.node.data.trim());
		}
	}
	const wide = document.documentElement.scrollWidth - innerWidth;
	if (wide > 0) found.push("wider than the screen by " + wide);
	return found.join("; ");
})()`

// MustBeLegible fails the test where texts can't be read as they stand.
func MustBeLegible(ctx context.Context, t *testing.T) {
	t.Helper()
	if found := Must(ctx, t, chromedp.Evaluate[string](illegible)); found != "" {
		keepScreenshot(ctx, t)
		t.Error(found)
	}
}
