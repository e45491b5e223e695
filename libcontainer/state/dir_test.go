package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestReserveTakenOpenMissing(t *testing.T) {
	root := t.TempDir()
	d, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Reserve(root, "c1")
	if !errors.Is(err, ErrExist) || err.Error() != `container with given ID already exists: "c1"` {
		t.Errorf("taken: got %v", err)
	}
	if _, err = Open(root, "c2"); !errors.Is(err, ErrNotExist) || err.Error() != `container does not exist: "c2"` {
		t.Errorf("missing: got %v", err)
	}
	if _, err = Open(filepath.Join(root, "none"), "c2"); !errors.Is(err, ErrNotExist) {
		t.Errorf("no root: got %v", err)
	}
	if _, err = Open(root, "../x"); err == nil || errors.Is(err, ErrNotExist) {
		t.Errorf("bad id: got %v", err)
	}
	if err := d.Remove(); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(); !errors.Is(err, ErrNotExist) {
		t.Errorf("removed twice: got %v", err)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("left in the root: %v", entries)
	}
	_ = d.Close()
}

func TestLock(t *testing.T) {
	root := t.TempDir()
	holder, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if ok, err := d.TryLock(); ok || err != nil {
		t.Errorf("TryLock of what is locked: %v, %v", ok, err)
	}
	if err := d.Lock(10 * time.Millisecond); err == nil || !strings.Contains(err.Error(), `lock container "c1": another mocker has held it`) {
		t.Errorf("Lock of what is locked: %v", err)
	}
	if err := holder.Unlock(); err != nil {
		t.Fatal(err)
	}
	if err := d.Lock(time.Second); err != nil {
		t.Error(err)
	}
	if err := d.Unlock(); err != nil {
		t.Error(err)
	}
	if ok, err := holder.TryLock(); !ok || err != nil {
		t.Errorf("TryLock of what is free: %v, %v", ok, err)
	}
	// The waiter must not come out with the lock of a removed container, nor
	// take its successor for it.
	got := make(chan error)
	go func() { got <- d.Lock(0) }()
	if err := holder.Remove(); err != nil {
		t.Fatal(err)
	}
	next, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	_ = holder.Close()
	if err := <-got; !errors.Is(err, ErrNotExist) {
		t.Errorf("Lock of a removed container: got %v", err)
	}
	if _, err := d.Load(); !errors.Is(err, ErrNotExist) {
		t.Errorf("Load of a removed container: got %v", err)
	}
}

func TestSweep(t *testing.T) {
	root := t.TempDir()
	// As a Remove leaves it that is killed after its rename.
	if err := os.MkdirAll(filepath.Join(root, trash, "123", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if ids, err := IDs(root); len(ids) != 0 || err != nil {
		t.Errorf("half-removed container is listed: %v, %v", ids, err)
	}
	d, err := Reserve(root, "c1")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if entries, _ := os.ReadDir(root); len(entries) != 1 {
		t.Errorf("left in the root: %v", entries)
	}
}

func TestIDs(t *testing.T) {
	root := t.TempDir()
	for _, id := range []string{"b", "a", "c"} {
		if err := os.Mkdir(filepath.Join(root, id), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_ = os.Mkdir(filepath.Join(root, "not an id"), 0o700)
	_ = os.WriteFile(filepath.Join(root, "file"), nil, 0o600)
	_ = os.Symlink("a", filepath.Join(root, "link"))
	ids, err := IDs(root)
	if want := []string{"a", "b", "c"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v, want %v", ids, err, want)
	}
	if ids, err := IDs(filepath.Join(root, "none")); len(ids) != 0 || err != nil {
		t.Errorf("no root: got %v, %v", ids, err)
	}
	if _, err := Open(root, "link"); !errors.Is(err, ErrNotExist) {
		t.Errorf("a link counts as a container: %v", err)
	}
	if _, err := Open(root, "file"); !errors.Is(err, ErrNotExist) {
		t.Errorf("a file counts as a container: %v", err)
	}
}

// Creators and deleters fight for one name: never do two hold it at once,
// and nothing is left.
func TestRaces(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	var held sync.Mutex
	reserved := make(chan struct{}, 8*200)
	for range 8 {
		wg.Go(func() {
			for range 200 {
				d, err := Reserve(root, "x")
				if errors.Is(err, ErrExist) {
					if d, err = Open(root, "x"); err == nil {
						if err = d.Lock(0); err != nil {
							_ = d.Close()
						}
					}
				} else if err == nil {
					reserved <- struct{}{}
				}
				if errors.Is(err, ErrNotExist) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if !held.TryLock() {
					t.Error("two hold the lock")
				} else {
					err = d.Save(sample("x"))
					held.Unlock()
				}
				// From the start of Remove on the name is free for others.
				if err = errors.Join(err, d.Remove(), d.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(reserved) < 200 {
		t.Errorf("only %d of 1600 tries got the name", len(reserved))
	}
	sweep(root)
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("left in the root: %v", entries)
	}
}

// The kernel's side of list: 1000 containers, each opened and read.
func BenchmarkList1000(b *testing.B) {
	root := b.TempDir()
	for i := range 1000 {
		id := fmt.Sprintf("c%d", i)
		d, err := Reserve(root, id)
		if err != nil {
			b.Fatal(err)
		}
		if err := errors.Join(d.Save(sample(id)), d.Close()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		ids, err := IDs(root)
		if err != nil || len(ids) != 1000 {
			b.Fatal(len(ids), err)
		}
		for _, id := range ids {
			d, err := Open(root, id)
			if err != nil {
				b.Fatal(err)
			}
			st, err := d.Load()
			if err != nil {
				b.Fatal(err)
			}
			st.Init.Alive()
			_ = d.Close()
		}
	}
}
