package convergence

import (
	"os"
	"testing"

	"github.com/monarch-msn/monarch/test/cluster/network"
)

func TestMain(m *testing.M) { os.Exit(network.Main(m)) }
