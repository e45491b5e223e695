package specconv

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Write puts spec into a bundle as config.json, whole or not at all. One that
// is there already is left alone and makes an error.
func Write(bundle string, spec *specs.Spec) error {
	name := filepath.Join(bundle, configName)
	if err := writeConfig(name, spec); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = errors.New("file exists, remove it first")
		}
		return fmt.Errorf("write %s: %w", name, bare(err))
	}
	return nil
}

func writeConfig(name string, spec *specs.Spec) error {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	if err := enc.Encode(spec); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(name), "."+configName+".")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text.Bytes())
	// A bundle holds no secrets, and other users' tools read it.
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err != nil {
		return err
	}
	// A link, unlike a rename, never replaces what is there.
	if err := os.Link(tmp.Name(), name); err != nil {
		var le *os.LinkError // names both files
		if errors.As(err, &le) {
			return le.Err
		}
		return err
	}
	return nil
}
