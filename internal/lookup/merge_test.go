package lookup_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/milaan/milaan/internal/lookup"
)

// record is what the lists below are made of.
type record struct {
	place lookup.Place
	fits  bool
}

func placeOf(r *record) lookup.Place { return r.place }

// TestMerge: whatever the lists, what fits in them and how far a page looks, the
// pages together are the whole, newest first, each record once; and a page that
// has a next one never says it has none.
func TestMerge(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var lists [][]record
		var want []int64
		var id int64
		for range rapid.IntRange(1, 5).Draw(t, "lists") {
			var list []record
			for range rapid.IntRange(0, 40).Draw(t, "records") {
				id++
				r := record{lookup.Place{At: time.Unix(rapid.Int64Range(0, 30).Draw(t, "at"), 0), ID: id}, rapid.Bool().Draw(t, "fits")}
				list = append(list, r)
			}
			slices.SortFunc(list, func(a, b record) int { return newestFirst(a.place, b.place) })
			lists = append(lists, list)
		}
		var all []record
		for _, list := range lists {
			all = append(all, list...)
		}
		slices.SortFunc(all, func(a, b record) int { return newestFirst(a.place, b.place) })
		for _, r := range all {
			if r.fits {
				want = append(want, r.place.ID)
			}
		}
		limit, look := rapid.IntRange(1, 12).Draw(t, "limit"), rapid.IntRange(1, 12).Draw(t, "look")
		read := func(i int, after *lookup.Place, limit int) (page lookup.Page[record], err error) {
			looked := 0
			for _, r := range lists[i] {
				if after != nil && !r.place.Before(*after) {
					continue
				}
				if looked++; r.fits {
					if len(page.Items) == limit {
						page.Next = &page.Items[limit-1].place
						return page, nil
					}
					page.Items = append(page.Items, r)
				}
				if looked == look {
					page.Next = &r.place
					return page, nil
				}
			}
			return page, nil
		}
		var got []int64
		var after *lookup.Place
		for pages := 0; ; pages++ {
			if pages > 500 {
				t.Fatal("the pages have no end")
			}
			page, err := lookup.Merge(len(lists), limit, after, placeOf, read)
			if err != nil || len(page.Items) > limit {
				t.Fatalf("a page of %d, limit %d: %v", len(page.Items), limit, err)
			}
			for _, r := range page.Items {
				got = append(got, r.place.ID)
			}
			if page.Next == nil {
				break
			}
			if after != nil && !page.Next.Before(*after) {
				t.Fatalf("the page after %v leads to %v", after, page.Next)
			}
			after = page.Next
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the pages give %v, want %v", got, want)
		}
	})
}

func newestFirst(a, b lookup.Place) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID))
}
