package fx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// maxAhead is how far ahead of the clock a feed's date may be. Merge keeps the newer quotation, so a date far
// in the future would otherwise pin its rates for as long.
const maxAhead = 48 * time.Hour

// Load reads rates from location: an http:// or https:// URL, a file:// URL or a path. The content decides the
// format: XML is read by ParseECB, JSON by ParseOpenExchangeRates. At most 1 MiB is read, and ctx bounds the
// time; give it a deadline. client makes the request, http.DefaultClient when nil. now is the current time:
// it becomes FetchedAt, and a feed dated more than two days after it is refused.
//
// The set's Source is location without query, fragment and credentials, which may hold an access key; errors
// leave them out too. Errors wrap ErrUnavailable when the feed could not be read and ErrFormat when what was
// read is not usable rates.
func Load(ctx context.Context, client *http.Client, location string, now time.Time) (*Rates, error) {
	body, source, err := open(ctx, client, location)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, source, err)
	}
	defer body.Close()
	data, err := readFeed(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	rates, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	if rates.AsOf.After(now.Add(maxAhead)) {
		return nil, fmt.Errorf("%s: %w", source, malformed("its date %s lies in the future: check this machine's clock and the feed",
			rates.AsOf.Format(time.RFC3339)))
	}
	for i := range rates.quotes {
		rates.quotes[i].Source = strings.ToValidUTF8(source, "�")
	}
	return build(source, rates.AsOf, now, rates.quotes), nil
}

// parse tells the two formats apart by their first character.
func parse(data []byte) (*Rates, error) {
	switch text := bytes.TrimLeft(data, " \t\r\n"); {
	case bytes.HasPrefix(text, []byte("<")):
		return ParseECB(bytes.NewReader(data))
	case bytes.HasPrefix(text, []byte("{")):
		return ParseOpenExchangeRates(bytes.NewReader(data))
	}
	return nil, malformed("it is neither the ECB's XML nor Open Exchange Rates' JSON")
}

// open opens location and names it for people. The name is right even when there is an error.
func open(ctx context.Context, client *http.Client, location string) (io.ReadCloser, string, error) {
	scheme, _, isURL := strings.Cut(location, "://")
	if !isURL {
		body, err := openFile(ctx, location)
		return body, location, err
	}
	address, err := url.Parse(location)
	if err != nil {
		return nil, scheme + "://…", errors.New("the URL does not parse")
	}
	switch address.Scheme {
	case "http", "https":
		public := url.URL{Scheme: address.Scheme, Host: address.Host, Path: address.Path}
		body, err := get(ctx, client, location)
		return body, public.String(), err
	case "file":
		if address.Host != "" && address.Host != "localhost" {
			return nil, "file://" + address.Host, errors.New("a file:// URL has three slashes: file:///path/to/rates.json")
		}
		body, err := openFile(ctx, address.Path)
		return body, address.Path, err
	}
	return nil, address.Scheme + "://…", errors.New("use an https://, http:// or file:/// URL, or a path")
}

func get(ctx context.Context, client *http.Client, location string) (io.ReadCloser, error) {
	if client == nil {
		client = http.DefaultClient
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, errors.New("the URL does not make a request")
	}
	request.Header.Set("Accept", "application/json, application/xml;q=0.9, text/xml;q=0.9")
	response, err := client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return nil, failed.Err // without the URL, whose query may hold a key
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("the server answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	return response.Body, nil
}

// openFile opens a regular file: a pipe or a device could keep a reader waiting past any deadline.
func openFile(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	return os.Open(path)
}
