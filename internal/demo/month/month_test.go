package month_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/demo/month"
)

var _ = context.Background
var _ = fmt.Sprint
var _ = time.Now
var _ = month.Days

func TestX(t *testing.T) {}
