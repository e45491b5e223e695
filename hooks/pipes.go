package hooks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// pipes are the standard streams of a hook: its ends, and ours.
type pipes struct {
	stdio [3]*os.File
	in    *os.File // the state is written here
	out   *os.File // what it says is read here

	kept tail
	done chan struct{} // closed when out has been read to its end
}

func newPipes() (*pipes, error) {
	p := &pipes{done: make(chan struct{})}
	var err, err2 error
	p.stdio[0], p.in, err = os.Pipe()
	if p.out, p.stdio[1], err2 = os.Pipe(); err == nil {
		err = err2
	}
	p.stdio[2] = p.stdio[1]
	if err != nil {
		p.closeStdio()
		p.close()
		return nil, fmt.Errorf("make its pipes: %w", err)
	}
	return p, nil
}

// serve feeds the hook and listens to it. That it does not read is no error:
// the write fails when nobody can read any more, or with close.
func (p *pipes) serve(state []byte) {
	go func() {
		_, _ = p.in.Write(state)
		_ = p.in.Close()
	}()
	go func() {
		defer close(p.done)
		_, _ = io.Copy(&p.kept, p.out)
	}()
}

// output is the last of what the hook has said, once it has ended.
func (p *pipes) output() string {
	if err := p.out.SetReadDeadline(time.Now().Add(leftBehind)); err != nil && !errors.Is(err, os.ErrClosed) {
		_ = p.out.Close() // cannot be: pipes have deadlines
	}
	<-p.done
	return p.kept.String()
}

func (p *pipes) closeStdio() {
	for _, f := range p.stdio {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (p *pipes) close() {
	for _, f := range []*os.File{p.in, p.out} {
		if f != nil {
			_ = f.Close()
		}
	}
}
