package month_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/milaan/milaan/internal/demo"
	"github.com/milaan/milaan/internal/store"
)

func TestX(t *testing.T) {}
