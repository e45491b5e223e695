package drive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// Layer packs a small root file system: busybox with its applets, and
// /bin/plain, which is not executable.
func Layer(t testing.TB) string {
	t.Helper()
	root := filepath.Join(Bundle(t, nil), "rootfs")
	writeFile(t, filepath.Join(root, "bin/plain"), "plain\n")
	for _, dir := range []string{"data", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "layer.tar")
	writeTar(t, path, os.DirFS(root))
	return path
}

// Image packs a layer as `docker save` would; what it runs by itself is
// entry. It gives the path of the archive.
func Image(t testing.TB, layer, name string, entry ...string) string {
	t.Helper()
	dir := t.TempDir()
	data, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "layer.tar"), string(data))
	writeJSON(t, filepath.Join(dir, "config.json"), map[string]any{
		"os": "linux", "architecture": runtime.GOARCH,
		"config": map[string]any{"Env": []string{"PATH=/bin"}, "Entrypoint": entry},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{fmt.Sprintf("sha256:%x", sha256.Sum256(data))}},
	})
	writeJSON(t, filepath.Join(dir, "manifest.json"), []any{
		map[string]any{"Config": "config.json", "RepoTags": []string{name}, "Layers": []string{"layer.tar"}},
	})
	path := filepath.Join(t.TempDir(), "image.tar")
	writeTar(t, path, os.DirFS(dir))
	return path
}

func writeJSON(t testing.TB, path string, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, string(data))
}

func writeTar(t testing.TB, path string, from fs.FS) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(from); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

func writeFile(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
