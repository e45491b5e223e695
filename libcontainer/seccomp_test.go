package libcontainer

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/mocker-runtime/mocker/libcontainer/config"
	"github.com/mocker-runtime/mocker/libcontainer/state"
)

// TestSavedFilter: what exec reads is what create wrote.
func TestSavedFilter(t *testing.T) {
	file := filepath.Join(t.TempDir(), filterFile)
	for _, want := range []*config.Seccomp{
		{Filter: []unix.SockFilter{{Code: 6, K: 0x7fff0000}}},
		{
			Filter: []unix.SockFilter{{Code: 0x20, K: 4}, {Code: 0x15, Jt: 1, Jf: 255, K: 0xc000003e}, {Code: 6, K: 1}},
			Flags:  6, Notify: true, ListenerPath: "/run/\"agent\"", ListenerMetadata: "meta\ndata",
		},
	} {
		if err := saveFilter(file, want); err != nil {
			t.Fatal(err)
		}
		if got, err := loadFilter(file); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
	for _, text := range []string{"", "{}", `{"program": "AAAA"}`, `{"program": 3}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := loadFilter(file); err == nil || !strings.HasPrefix(err.Error(), "read "+file+": ") {
			t.Errorf("%q: got %+v, %v", text, got, err)
		}
	}
}

// TestHear: all that was said before the other end is closed.
func TestHear(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	go func() {
		for _, text := range []string{".", "12345", "678"} {
			_, _ = w.WriteString(text)
			time.Sleep(10 * time.Millisecond)
		}
		w.Close()
	}()
	said, err := hear(r, &state.State{Listener: "/agent"})
	if string(said) != ".12345678" || err != nil {
		t.Errorf("got %q, %v", said, err)
	}
}
