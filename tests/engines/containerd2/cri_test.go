package containerd2

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/mocker-runtime/mocker/tests/drive"
)

const (
	image  = "example.org/box:latest"
	handle = "tested" // what a RuntimeClass names
)

// kubelet is a client of the CRI of a containerd that keeps all it has in
// directories of the test, and whose pods run on one runtime.
type kubelet struct {
	cri.RuntimeServiceClient
	t      *testing.T
	ctx    context.Context
	dir    string
	parent string // cgroup of its pods
}

// configuration is docs/engines.md's for version 1, with private directories,
// and without what this machine lacks: CAP_SYS_RESOURCE, and a network plugin.
const configuration = `version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "%[1]s/sock"
[ttrpc]
  address = "%[1]s/sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + image + `"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "%[1]s/cni"
  conf_dir = "%[1]s/cni"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
  default_runtime_name = "` + handle + `"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.` + handle + `]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.` + handle + `.options]
  BinaryName = "%[2]s"
  Root = "%[1]s/runtime"
`

// noNetwork is a plugin that gives a pod an address in words only.
const noNetwork = `#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}' ;;
ADD) echo '{"cniVersion":"1.0.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}],"ips":[{"address":"10.1.2.3/24","interface":0}]}' ;;
esac
`

func newKubelet(t *testing.T, runtime string) *kubelet {
	t.Helper()
	k := &kubelet{t: t, dir: t.TempDir(), parent: fmt.Sprintf("/mocker-cri-%d", os.Getpid())}
	t.Cleanup(k.removeCgroups)
	ctx, cancel := context.WithTimeout(t.Context(), drive.Patience(50*time.Second))
	t.Cleanup(cancel)
	k.ctx = ctx
	k.must("chmod", os.Chmod(filepath.Dir(k.dir), 0o755)) // for the users of user namespaces
	k.must("cni directory", os.Mkdir(filepath.Join(k.dir, "cni"), 0o755))
	for name, text := range map[string]string{
		"config.toml":       fmt.Sprintf(configuration, k.dir, runtime),
		"cni/none":          noNetwork,
		"cni/loopback":      noNetwork,
		"cni/pods.conflist": `{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"none"}]}`,
	} {
		k.must("write", os.WriteFile(filepath.Join(k.dir, name), []byte(text), 0o755))
	}
	k.start()
	conn, err := grpc.NewClient("unix://"+k.dir+"/sock", grpc.WithTransportCredentials(insecure.NewCredentials()))
	k.must("connect", err)
	t.Cleanup(func() { _ = conn.Close() })
	k.RuntimeServiceClient = cri.NewRuntimeServiceClient(conn)
	archive := drive.Image(t, drive.Layer(t), image, "sleep", "1000")
	var r drive.Result
	drive.Eventually(t, "containerd takes the image", func() bool {
		r = drive.Exec(t, "ctr", "--address", k.dir+"/sock", "--namespace", "k8s.io", "image", "import", "--snapshotter", "native", archive)
		return r.Code == 0
	})
	images := cri.NewImageServiceClient(conn)
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	drive.Eventually(t, "the CRI knows the image", func() bool {
		var st *cri.ImageStatusResponse
		st, err = images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
		return err == nil && st.Image != nil
	})
	return k
}

func (k *kubelet) start() {
	k.t.Helper()
	log, err := os.Create(filepath.Join(k.dir, "log"))
	k.must("log", err)
	defer log.Close()
	daemon := exec.Command("containerd", "--config", filepath.Join(k.dir, "config.toml"))
	daemon.Stdout, daemon.Stderr = log, log
	k.must("start containerd", daemon.Start())
	k.t.Cleanup(func() {
		_ = daemon.Process.Signal(unix.SIGTERM)
		kill := time.AfterFunc(drive.Patience(20*time.Second), func() { _ = daemon.Process.Kill() })
		defer kill.Stop()
		if err := daemon.Wait(); err != nil {
			k.t.Errorf("containerd: %v", err)
		}
		if text, err := os.ReadFile(log.Name()); err == nil && k.t.Failed() {
			k.t.Logf("containerd said:\n%s", text[max(0, len(text)-16000):])
		}
		_ = unix.Unmount("/run/containerd", unix.MNT_DETACH)
		_ = os.RemoveAll("/run/containerd")
	})
}

func (k *kubelet) removeCgroups() {
	for _, pattern := range []string{"/sys/fs/cgroup" + k.parent, "/sys/fs/cgroup/*" + k.parent} {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			drive.Eventually(k.t, dir+" can be removed", func() bool { return os.Remove(dir) == nil })
		}
	}
}

func (k *kubelet) must(what string, err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatalf("%s: %v", what, err)
	}
}

// pod runs a sandbox; it goes with the test.
func (k *kubelet) pod() (string, *cri.PodSandboxConfig) {
	k.t.Helper()
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "pod", Uid: "uid", Namespace: "default"},
		Hostname:     "pod",
		LogDirectory: k.t.TempDir(),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: k.parent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER},
				Seccomp:          &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault},
			},
		},
	}
	pod, err := k.RunPodSandbox(k.ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: handle})
	k.must("RunPodSandbox", err)
	k.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second) //nolint:usetesting // the test's has ended
		defer cancel()
		if _, err := k.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: pod.PodSandboxId}); err != nil {
			k.t.Errorf("StopPodSandbox: %v", err)
		}
		if _, err := k.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: pod.PodSandboxId}); err != nil {
			k.t.Errorf("RemovePodSandbox: %v", err)
		}
	})
	return pod.PodSandboxId, config
}

// container starts one in a pod.
func (k *kubelet) container(pod string, sandbox *cri.PodSandboxConfig) string {
	k.t.Helper()
	made, err := k.CreateContainer(k.ctx, &cri.CreateContainerRequest{
		PodSandboxId: pod, SandboxConfig: sandbox,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "box"},
			Image:    &cri.ImageSpec{Image: image},
			Args:     []string{},
			LogPath:  "box.log",
			Linux: &cri.LinuxContainerConfig{
				Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: 64 << 20, CpuShares: 512},
				SecurityContext: &cri.LinuxContainerSecurityContext{
					NamespaceOptions: sandbox.Linux.SecurityContext.NamespaceOptions,
					Seccomp:          sandbox.Linux.SecurityContext.Seccomp,
				},
			},
		},
	})
	k.must("CreateContainer", err)
	_, err = k.StartContainer(k.ctx, &cri.StartContainerRequest{ContainerId: made.ContainerId})
	k.must("StartContainer", err)
	return made.ContainerId
}

// sh runs a script in a container and wants this output of it.
func (k *kubelet) sh(id, script, want string) {
	k.t.Helper()
	r, err := k.ExecSync(k.ctx, &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"sh", "-c", script}, Timeout: 20})
	k.must("ExecSync", err)
	if got := string(r.Stdout) + string(r.Stderr); got != want || r.ExitCode != 0 {
		k.t.Errorf("%s: exit %d, %q, want %q", script, r.ExitCode, got, want)
	}
}

// TestCRI is Debian's containerd under a kubelet: a pod and a container, with
// mocker and with runc.
func TestCRI(t *testing.T) {
	before := drive.TakeSnapshot(t)
	t.Cleanup(func() {
		_ = os.Remove("/run/netns")
		before.Unchanged(t)
	})
	runc, err := exec.LookPath("runc")
	if err != nil {
		t.Fatal(err)
	}
	for _, runtime := range []string{drive.Mocker(t), runc} {
		t.Run(filepath.Base(runtime), func(t *testing.T) {
			k := newKubelet(t, runtime)
			k.life()
		})
	}
}

// life of a pod with one container, and what the kubelet asks about it.
func (k *kubelet) life() {
	pod, sandbox := k.pod()
	id := k.container(pod, sandbox)
	k.sh(id, "hostname; ls /bin/plain; grep Seccomp: /proc/self/status", "pod\n/bin/plain\nSeccomp:\t2\n")
	st, err := k.ContainerStats(k.ctx, &cri.ContainerStatsRequest{ContainerId: id})
	if k.must("ContainerStats", err); st.Stats.Memory.GetUsageBytes().GetValue() == 0 {
		k.t.Errorf("ContainerStats: %v", st)
	}
	_, err = k.UpdateContainerResources(k.ctx, &cri.UpdateContainerResourcesRequest{
		ContainerId: id, Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 32 << 20},
	})
	k.must("UpdateContainerResources", err)
	_, err = k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: 0})
	k.must("StopContainer", err)
	status, err := k.ContainerStatus(k.ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if k.must("ContainerStatus", err); status.Status.State != cri.ContainerState_CONTAINER_EXITED || status.Status.ExitCode != 137 {
		k.t.Errorf("ContainerStatus: %v", status.Status)
	}
	_, err = k.RemoveContainer(k.ctx, &cri.RemoveContainerRequest{ContainerId: id})
	k.must("RemoveContainer", err)
}
