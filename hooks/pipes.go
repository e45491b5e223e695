package hooks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
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

// newPipes makes the streams. What the annotations of a container send to a
// file goes there, and is not in the error.
func newPipes(annotations map[string]string) (*pipes, error) {
	p := &pipes{done: make(chan struct{})}
	var err, err2 error
	p.stdio[0], p.in, err = os.Pipe()
	if p.out, p.stdio[1], err2 = os.Pipe(); err == nil {
		err = err2
	}
	p.stdio[2] = p.stdio[1]
	if err != nil {
		err = fmt.Errorf("make its pipes: %w", err)
	} else {
		err = p.redirect(annotations)
	}
	if err != nil {
		p.closeStdio()
		p.close()
		return nil, err
	}
	return p, nil
}

// The annotations, which are crun's: each names a file that is appended to.
const (
	stdoutFile = "run.oci.hooks.stdout"
	stderrFile = "run.oci.hooks.stderr"
)

// redirect replaces what the annotations say.
func (p *pipes) redirect(annotations map[string]string) error {
	pipe := p.stdio[1]
	for fd, name := range map[int]string{1: stdoutFile, 2: stderrFile} {
		path, ok := annotations[name]
		if !ok {
			continue
		}
		f, err := openOutput(path)
		if err != nil {
			return fmt.Errorf("annotation %s: %w", name, err)
		}
		p.stdio[fd] = f
	}
	if p.stdio[1] != pipe && p.stdio[2] != pipe {
		_ = pipe.Close()
	}
	return nil
}

// openOutput opens a file without waiting for the reader of a FIFO.
func openOutput(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(int(f.Fd()), false); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return f, nil
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
