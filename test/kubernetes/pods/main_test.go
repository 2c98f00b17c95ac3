package pods

import (
	"os"
	"testing"

	"github.com/monarch-msn/monarch/test/kubernetes/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(lab.Real, m.Run)) }
