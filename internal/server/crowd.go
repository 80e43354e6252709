package server

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// crowd bounds the connections that a listener serves at once. When all places are
// taken, the connection that has been idle for longest gives its place up: clients
// that keep connections for later must not shut others out.
type crowd struct {
	net.Listener
	places chan struct{} // holds a token for each connection
	closed chan struct{}
	once   sync.Once

	mu      sync.Mutex
	idle    *list.List // of net.Conn, longest first
	resting map[net.Conn]*list.Element
}

func newCrowd(l net.Listener, most int) *crowd {
	return &crowd{
		Listener: l, places: make(chan struct{}, most), closed: make(chan struct{}),
		idle: list.New(), resting: make(map[net.Conn]*list.Element),
	}
}

// Accept waits for a place, and then for a connection to give it to.
func (c *crowd) Accept() (net.Conn, error) {
	select {
	case c.places <- struct{}{}:
	default:
		c.clear()
		select {
		case c.places <- struct{}{}:
		case <-c.closed:
			return nil, net.ErrClosed
		}
	}
	conn, err := c.Listener.Accept()
	if err != nil {
		<-c.places
		return nil, err
	}
	return &guest{Conn: conn, of: c}, nil
}

// Close closes the listener; connections stay.
func (c *crowd) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Listener.Close()
}

// note is http.Server's ConnState: it keeps the connections in order that are idle.
func (c *crowd) note(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	if place := c.resting[conn]; place != nil {
		c.idle.Remove(place)
		delete(c.resting, conn)
	}
	if state == http.StateIdle {
		c.resting[conn] = c.idle.PushBack(conn)
	}
	c.mu.Unlock()
	if state == http.StateIdle && len(c.places) == cap(c.places) {
		c.clear() // somebody waits
	}
}

// clear closes the connection that has been idle for longest, if there is one.
func (c *crowd) clear() {
	c.mu.Lock()
	longest := c.idle.Front()
	var conn net.Conn
	if longest != nil {
		conn, _ = c.idle.Remove(longest).(net.Conn) // nothing else is put in
		delete(c.resting, conn)
	}
	c.mu.Unlock()
	if conn != nil {
		_ = conn.Close() // the server sees to the rest
	}
}

// guest is a connection that has a place.
type guest struct {
	net.Conn
	of   *crowd
	once sync.Once
}

// Close ends the connection and gives its place to the next.
func (g *guest) Close() error {
	err := g.Conn.Close()
	g.once.Do(func() { <-g.of.places })
	return err
}
