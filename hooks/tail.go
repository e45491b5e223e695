package hooks

import "strings"

// tailSize is how much of a hook's output is kept: what conmon keeps of a
// runtime's, and enough for any message.
const tailSize = 8 << 10

// tail is a writer that takes everything and keeps the last tailSize bytes,
// so that a hook that prints without end neither blocks nor fills memory.
type tail struct {
	buf []byte
	cut bool // something was dropped
}

// Write never fails.
func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if n > tailSize {
		p, t.cut = p[n-tailSize:], true
	}
	if over := len(t.buf) + len(p) - tailSize; over > 0 {
		t.buf, t.cut = t.buf[:copy(t.buf, t.buf[over:])], true
	}
	t.buf = append(t.buf, p...)
	return n, nil
}

// String is what was kept, fit for an error: without the white space around
// it, in valid UTF-8, with "..." for what was dropped.
func (t *tail) String() string {
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.buf), "\uFFFD"))
	if t.cut {
		return "..." + text
	}
	return text
}
