package hooks

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzOutput wants of what a hook prints, in pieces of any size, the end, as
// text that is fit for an error.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("no such device\n"), uint16(3))
	f.Add([]byte("\xff\xfe\x00"), uint16(1))
	f.Add(bytes.Repeat([]byte("ä"), tailSize), uint16(4097))
	f.Add(bytes.Repeat([]byte(" "), tailSize+1), uint16(0))
	f.Fuzz(func(t *testing.T, printed []byte, size uint16) {
		// Long output is what matters, and a fuzzer's is short.
		printed = bytes.Repeat(printed, 1+int(size)%3*tailSize/max(len(printed), 1))
		var kept tail
		for rest := printed; len(rest) > 0; {
			n := min(len(rest), max(int(size)+1, len(printed)/1000))
			if m, err := kept.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("wrote %d of %d: %v", m, n, err)
			}
			rest = rest[n:]
		}
		got := kept.String()
		want := printed[max(0, len(printed)-tailSize):]
		plain := strings.TrimSpace(strings.ToValidUTF8(string(want), "\uFFFD"))
		if len(printed) > tailSize {
			plain = "..." + plain
		}
		if got != plain || !utf8.ValidString(got) {
			t.Errorf("got %q, want %q", got, plain)
		}
	})
}
