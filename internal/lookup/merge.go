package lookup

import "slices"

// Merge reads several lists, each the newest first, as one: of the lists of
// several merchants, say. Read gives a page of one of them. The page that comes of
// it ends where the first list ends that was not looked at to its end: what is
// older may not be all there is.
func Merge[T any](lists, limit int, after *Place, place func(*T) Place, read func(list int, after *Place, limit int) (Page[T], error)) (Page[T], error) {
	// Each list gives few at first: most of a page may come from one of them.
	sources := make([]source[T], lists)
	chunk := limit + 1
	if lists > 1 {
		chunk = min(chunk, max(2, 2*limit/lists))
	}
	var out Page[T]
	for i := range sources {
		sources[i] = source[T]{next: after, more: true, chunk: chunk}
	}
	for len(out.Items) < limit {
		newest, horizon := -1, (*Place)(nil)
		for i := range sources {
			s := &sources[i]
			if err := s.fill(limit+1, func(after *Place, limit int) (Page[T], error) { return read(i, after, limit) }); err != nil {
				return out, err
			}
			switch {
			case len(s.items) > 0:
				if newest < 0 || place(&sources[newest].items[0]).Before(place(&s.items[0])) {
					newest = i
				}
			case s.more && (horizon == nil || horizon.Before(*s.next)):
				horizon = s.next
			}
		}
		if newest < 0 || horizon != nil && place(&sources[newest].items[0]).Before(*horizon) {
			out.Next = horizon
			return out, nil
		}
		out.Items = append(out.Items, sources[newest].items[0])
		sources[newest].items = sources[newest].items[1:]
	}
	if limit > 0 && slices.ContainsFunc(sources, func(s source[T]) bool { return s.more || len(s.items) > 0 }) {
		last := place(&out.Items[limit-1])
		out.Next = &last
	}
	return out, nil
}

// source is one of the lists: what was read of it and is not used yet.
type source[T any] struct {
	items []T
	next  *Place
	more  bool // there may be more behind next
	short bool // it was not looked at any further
	chunk int
}

// fill reads on where all was used. A list that gave less than it was asked for,
// though it has more, was looked at as far as a page may.
func (s *source[T]) fill(most int, read func(after *Place, limit int) (Page[T], error)) error {
	if len(s.items) > 0 || !s.more || s.short {
		return nil
	}
	page, err := read(s.next, s.chunk)
	if err != nil {
		return err
	}
	s.short = page.Next != nil && len(page.Items) < s.chunk
	s.items, s.next, s.more = page.Items, page.Next, page.Next != nil
	s.chunk = min(2*s.chunk, most)
	return nil
}

// Before reports whether a place is older than another.
func (p Place) Before(other Place) bool {
	if !p.At.Equal(other.At) {
		return p.At.Before(other.At)
	}
	return p.ID < other.ID
}
