package scripts

import (
	"testing"

	"github.com/segpull/segpull/internal/testmain"
)

func TestMain(m *testing.M) { testmain.Main(m) }
