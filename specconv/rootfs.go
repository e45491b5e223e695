package specconv

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// busyboxPackage is where a machine without a static busybox finds one.
const busyboxPackage = "install the package busybox-static"

// busybox is a static busybox and the commands that it has.
type busybox struct {
	path    string
	applets []string // "bin/sh", "usr/bin/id", ...
}

// lookUpBusybox finds the one that is given, or with "" the machine's, and
// asks it for its commands.
func lookUpBusybox(given string) (*busybox, error) {
	name, err := findBusybox(given)
	if err != nil {
		return nil, err
	}
	applets, err := listApplets(name)
	if err != nil {
		return nil, err
	}
	return &busybox{name, applets}, nil
}

// has reports whether a word is one of the commands.
func (b *busybox) has(word string) bool {
	return slices.ContainsFunc(b.applets, func(applet string) bool { return path.Base(applet) == word })
}

// fillRootfs puts busybox, its applets and the few files that programs look
// for into an empty directory.
func fillRootfs(root string, b *busybox) error {
	for _, d := range []struct {
		name string
		mode os.FileMode
	}{
		{".", 0o755},
		{"bin", 0o755},
		{"dev", 0o755},
		{"etc", 0o755},
		{"home", 0o755},
		{"proc", 0o555},
		{"root", 0o700},
		{"run", 0o755},
		{"sbin", 0o755},
		{"sys", 0o555},
		{"tmp", 0o777 | os.ModeSticky},
		{"usr", 0o755},
		{"usr/bin", 0o755},
		{"usr/sbin", 0o755},
		{"var", 0o755},
		{"var/tmp", 0o777 | os.ModeSticky},
	} {
		if err := makeDir(filepath.Join(root, d.name), d.mode); err != nil {
			return err
		}
	}
	for _, f := range []struct{ name, text string }{
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
		{"etc/group", "root:x:0:\ntty:x:5:\nnobody:x:65534:\n"},
		{"etc/hosts", hostsFile(hostname)},
		{"etc/hostname", hostname + "\n"},
		{"etc/resolv.conf", ""}, // where the host's is mounted
	} {
		if err := makeFile(filepath.Join(root, f.name), []byte(f.text), 0o644); err != nil {
			return err
		}
	}
	if err := copyProgram(filepath.Join(root, "bin/busybox"), b.path); err != nil {
		return err
	}
	return linkApplets(root, b.applets)
}

// hostname is what containers on the busybox root are called.
const hostname = "mocker"

// hostsFile is an /etc/hosts for a container of this name.
func hostsFile(name string) string {
	return "127.0.0.1\tlocalhost " + name + "\n::1\tlocalhost ip6-localhost ip6-loopback\n"
}

// findBusybox returns the path of a busybox that needs nothing but the
// kernel: an ELF file without an interpreter.
func findBusybox(given string) (string, error) {
	candidates := []string{given}
	if given == "" {
		candidates = []string{"/bin/busybox", "/usr/bin/busybox"}
		if found, err := exec.LookPath("busybox"); err == nil {
			candidates = append([]string{found}, candidates...)
		}
	}
	var first error
	for _, name := range candidates {
		err := checkStatic(name)
		if err == nil {
			return name, nil
		}
		// A busybox that is there and unfit explains more than one that is not.
		if first == nil || errors.Is(first, os.ErrNotExist) && !errors.Is(err, os.ErrNotExist) {
			first = fmt.Errorf("use busybox %s: %w", name, err)
		}
	}
	if given == "" && errors.Is(first, os.ErrNotExist) {
		return "", errors.New("find busybox: not in PATH, /bin or /usr/bin; " + busyboxPackage)
	}
	return "", first
}

func checkStatic(name string) error {
	st, err := os.Stat(name)
	if err != nil {
		return bare(err)
	}
	if !st.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	f, err := os.Open(name)
	if err != nil {
		return bare(err)
	}
	defer f.Close()
	interpreted, err := hasInterpreter(f)
	switch {
	case err != nil:
		return bare(err)
	case interpreted:
		return errors.New("not static, it needs an interpreter; " + busyboxPackage)
	}
	return nil
}

// hasInterpreter reports whether an ELF program has a segment PT_INTERP
// (elf(5)). The package debug/elf would bring a lot into every start of mocker.
func hasInterpreter(f io.ReaderAt) (bool, error) {
	notELF := errors.New("not an ELF program; " + busyboxPackage)
	read := func(b []byte, at int64) error {
		_, err := f.ReadAt(b, at)
		if errors.Is(err, io.EOF) {
			return notELF
		}
		return err
	}
	var head [64]byte
	if err := read(head[:], 0); err != nil {
		return false, err
	}
	word, half := binary.LittleEndian.Uint32, binary.LittleEndian.Uint16
	var at uint64
	var size, count uint16
	switch string(head[:6]) {
	case "\x7fELF\x01\x01": // of 32 bits
		at, size, count = uint64(word(head[28:])), half(head[42:]), half(head[44:])
	case "\x7fELF\x02\x01":
		at, size, count = binary.LittleEndian.Uint64(head[32:]), half(head[54:]), half(head[56:])
	default:
		return false, notELF
	}
	if at > math.MaxInt32 || count > 0 && size < 4 {
		return false, notELF
	}
	for i := range int64(count) {
		var typ [4]byte
		if err := read(typ[:], int64(at)+i*int64(size)); err != nil {
			return false, err
		}
		if word(typ[:]) == ptInterp {
			return true, nil
		}
	}
	return false, nil
}

const ptInterp = 3

// linkApplets makes a link to busybox for every command in it, each at its
// usual place. The links are relative, so that they also hold seen from
// outside the container.
func linkApplets(root string, applets []string) error {
	for _, applet := range applets {
		dir, base := path.Split(path.Clean("/" + applet))
		var target string
		switch dir {
		case "/bin/", "/sbin/":
			target = "../bin/busybox"
		case "/usr/bin/", "/usr/sbin/":
			target = "../../bin/busybox"
		default:
			continue // linuxrc, for initial ramdisks
		}
		if dir == "/bin/" {
			target = "busybox"
		}
		if base == "busybox" {
			continue
		}
		if err := os.Symlink(target, filepath.Join(root, dir, base)); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link applet %s: %w", applet, err)
		}
	}
	return nil
}

// listApplets asks busybox for its commands. A build without FEATURE_INSTALLER
// knows their names but not their places; then all of them go to bin.
func listApplets(busybox string) ([]string, error) {
	full, err := runBusybox(busybox, "--list-full")
	if err == nil && len(full) > 0 {
		return full, nil
	}
	list, err := runBusybox(busybox, "--list")
	if err != nil {
		return nil, err
	}
	for i, name := range list {
		list[i] = "bin/" + name
	}
	return list, nil
}

func runBusybox(busybox, option string) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, busybox, option).Output()
	if err != nil {
		return nil, fmt.Errorf("run %s %s: %w", busybox, option, err)
	}
	return strings.Fields(string(out)), nil
}

func makeDir(name string, mode os.FileMode) error {
	if err := os.Mkdir(name, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("make %s: %w", name, bare(err))
	}
	// The umask would take from what Mkdir gives.
	if err := os.Chmod(name, mode); err != nil {
		return fmt.Errorf("make %s: %w", name, bare(err))
	}
	return nil
}

func makeFile(name string, text []byte, mode os.FileMode) error {
	if err := os.WriteFile(name, text, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, bare(err))
	}
	if err := os.Chmod(name, mode); err != nil {
		return fmt.Errorf("write %s: %w", name, bare(err))
	}
	return nil
}

func copyProgram(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, bare(err))
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}
