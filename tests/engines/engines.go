// Package engines lets real engines run containers with the runtime under
// test: podman with conmon, containerd, Debian's and a current one, with ctr and
// its shim, Docker, and buildah. It is the proof that what they write into
// config.json is understood, and that the command lines, exit codes, pid files
// and logs are those they expect of runc.
//
// Each scenario runs on mocker and on runc: the same must come of both.
//
// Each engine keeps everything in directories of its own that go with the
// test. It has tests only.
package engines
