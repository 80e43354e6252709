package month

import (
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/milaan/milaan/client"
	"github.com/milaan/milaan/internal/directory"
)

// proof is by what a merchant tells genuine postbacks.
type proof struct {
	*client.Verifier
	// taken counts genuine ones.
	taken atomic.Int64
}

func newProof(m *directory.Merchant) (*proof, error) {
	s := m.Secrets
	v, err := client.NewVerifier(client.Keys{
		AccessKey: s.AccessKey.Reveal(), PrivateKey: s.PrivateKey.Reveal(), WebhookSecret: s.Webhook.Reveal(),
	})
	if err != nil {
		return nil, fmt.Errorf("merchant %s: %w", m.ID, err)
	}
	return &proof{Verifier: v}, nil
}

func (p *proof) verify(header http.Header, body []byte, now time.Time) error {
	_, err := p.Verify(header, body, now)
	return err
}

// stumbleEvery is how often a server fails a request that it takes when it comes
// again, as servers do.
const stumbleEvery = 83

// stumbles counts a genuine postback.
func (p *proof) stumbles() bool { return p.taken.Add(1)%stumbleEvery == 0 }
