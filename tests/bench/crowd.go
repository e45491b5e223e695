package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Axes of the crowd.
const (
	throughput = "containers in a second, created, started and deleted in a crowd"
	listing    = "list of the whole crowd"
	growing    = "create of the last tenth of the crowd, to the first"
)

// crowds has each runtime make many containers, several at a time.
func (b *bench) crowds() error {
	bundle, err := b.bundle("crowd", runs("/bin/sleep", "1000"))
	if err != nil {
		return err
	}
	b.results.figure(Figure{Axis: crowdSize, View: b.view, Value: float64(b.count), Unit: fmt.Sprintf("containers, %d at a time", b.jobs)})
	for _, r := range b.runtimes {
		fmt.Fprintf(os.Stderr, "bench: crowd of %s\n", r.Name)
		c := &crowd{bench: b, Runtime: r, bundle: bundle}
		err := c.measure()
		b.note(throughput, r, "/s", func() (float64, error) { return float64(b.count) / c.busy.Seconds(), err })
		b.note(listing, r, "ms", func() (float64, error) { return c.list, err })
		b.note(growing, r, "times", func() (float64, error) {
			grown, ok := growth(c.creates)
			if !ok && err == nil {
				return 0, fmt.Errorf("a crowd of %d is too small", b.count)
			}
			return grown, err
		})
	}
	return nil
}

// crowdSize is a figure about the measurement itself.
const crowdSize = "crowd"

// crowd is the containers of one runtime.
type crowd struct {
	*bench
	Runtime
	bundle  string
	creates []float64 // in the order of the containers
	list    float64
	busy    time.Duration // with create, start and delete
}

func (c *crowd) id(i int) string { return fmt.Sprintf("crowd-%d-%s-%d", os.Getpid(), c.Name, i) }

func (c *crowd) measure() error {
	pids := make([]int, c.count)
	c.creates = make([]float64, c.count)
	err := c.each(func(i int) error {
		pidFile := filepath.Join(c.dir, fmt.Sprintf("pid-%d", i))
		defer os.Remove(pidFile)
		took, err := c.run("create", "--bundle", c.bundle, "--pid-file", pidFile, c.id(i))
		if err != nil {
			return err
		}
		c.creates[i] = milliseconds(took)
		pids[i], err = readPID(pidFile)
		return err
	})
	if err == nil {
		err = c.each(func(i int) error { _, err := c.run("start", c.id(i)); return err })
	}
	var lists []float64
	for range 5 {
		if err != nil {
			break
		}
		var took time.Duration
		took, err = c.run("list")
		lists = append(lists, milliseconds(took))
	}
	for _, pid := range pids {
		if pid > 0 {
			err = errors.Join(err, end(pid))
		}
	}
	if err != nil {
		_ = c.each(func(i int) error { _, _ = c.run("delete", "--force", c.id(i)); return nil })
		return err
	}
	c.list = median(lists)
	return c.each(func(i int) error { _, err := c.run("delete", c.id(i)); return err })
}

// each does something for each container, several at a time, and stops after
// the first error.
func (c *crowd) each(do func(i int) error) error {
	started := time.Now()
	defer func() { c.busy += time.Since(started) }()
	numbers := make(chan int)
	failed := make(chan error, c.jobs)
	var group sync.WaitGroup
	for range c.jobs {
		group.Go(func() {
			for i := range numbers {
				if err := do(i); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	err := func() error {
		defer close(numbers)
		for i := range c.count {
			select {
			case numbers <- i:
			case err := <-failed:
				return err
			}
		}
		return nil
	}()
	group.Wait()
	if err == nil && len(failed) > 0 {
		err = <-failed
	}
	return err
}
