package script

import (
	"embed"
	"io/fs"
	"testing"
	"time"
)

//go:embed testdata
var testdata embed.FS

// patience is how long one line may take to come. Only a failing play waits so
// long.
const patience = 30 * time.Second

// Transcripts are the files that hold for a network with the default settings.
func Transcripts() fs.FS { return under("testdata") }

// Variants are the files that hold for a network with the named setting; the
// folder of that name in testdata says which it is.
func Variants(setting string) fs.FS { return under("testdata/" + setting) }

func under(folder string) fs.FS {
	files, err := fs.Sub(testdata, folder)
	if err != nil {
		panic(err) // the folder's name is a constant of the caller's
	}
	return files
}

// Test plays every transcript in files against the network, for each dialect
// that it names, as parallel subtests. The network must outlive t's subtests.
func Test(t *testing.T, network Network, files fs.FS) {
	t.Helper()
	scripts, err := Load(files)
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Fatal("no transcripts")
	}
	for _, s := range scripts {
		for _, dialect := range s.Dialects() {
			t.Run(s.Name[:len(s.Name)-len(".txt")]+"/"+dialect, func(t *testing.T) {
				t.Parallel()
				if err := s.Play(t.Context(), network, dialect, patience); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
