package containerd2

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// configuration is docs/engines.md's, with private directories, and without
// what this machine lacks: CAP_SYS_RESOURCE, and a network plugin.
const configuration = `version = 3
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"]
[grpc]
  address = "%[1]s/sock"
[ttrpc]
  address = "%[1]s/sock.ttrpc"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "` + image + `"
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["%[1]s/cni"]
  conf_dir = "%[1]s/cni"
  use_internal_loopback = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.` + handle + `]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.` + handle + `.options]
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
		r = drive.Exec(t, programs+"/ctr", "--address", k.dir+"/sock", "--namespace", "k8s.io", "image", "import", "--local", archive)
		return r.Code == 0
	})
	images := cri.NewImageServiceClient(conn)
	drive.Eventually(t, "the CRI knows the image", func() bool {
		st, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: &cri.ImageSpec{Image: image}})
		return err == nil && st.Image != nil
	})
	return k
}

// programs is where `make engines` builds them.
const programs = "../../../dist/containerd2"

func (k *kubelet) start() {
	k.t.Helper()
	bin, err := filepath.Abs(programs)
	k.must("find containerd", err)
	log, err := os.Create(filepath.Join(k.dir, "log"))
	k.must("log", err)
	defer log.Close()
	daemon := exec.Command(filepath.Join(bin, "containerd"), "--config", filepath.Join(k.dir, "config.toml"))
	daemon.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
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
			k.t.Logf("containerd said:\n%s", text[max(0, len(text)-6000):])
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
func (k *kubelet) pod(users *cri.UserNamespace) (string, *cri.PodSandboxConfig) {
	k.t.Helper()
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: "pod", Uid: "uid", Namespace: "default"},
		Hostname:     "pod",
		LogDirectory: k.t.TempDir(),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: k.parent,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER, UsernsOptions: users},
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
func (k *kubelet) container(pod string, sandbox *cri.PodSandboxConfig, mounts ...*cri.Mount) string {
	k.t.Helper()
	made, err := k.CreateContainer(k.ctx, &cri.CreateContainerRequest{
		PodSandboxId: pod, SandboxConfig: sandbox,
		Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: "box"},
			Image:    &cri.ImageSpec{Image: image},
			Args:     []string{},
			LogPath:  "box.log",
			Mounts:   mounts,
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

// TestCRI is containerd under a kubelet: pods and containers, with mocker and
// with runc.
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
			for _, s := range []struct {
				name string
				do   func(k kubelet)
			}{{"status", kubelet.status}, {"pod", kubelet.life}, {"mounts", kubelet.mounts}} {
				t.Run(s.name, func(t *testing.T) {
					sub := *k
					sub.t = t
					s.do(sub)
				})
			}
		})
	}
}

// handler are the features that containerd has found out about the runtime.
func (k kubelet) handler() *cri.RuntimeHandlerFeatures {
	k.t.Helper()
	st, err := k.Status(k.ctx, &cri.StatusRequest{})
	k.must("Status", err)
	for _, h := range st.RuntimeHandlers {
		if h.Name == handle {
			return h.Features
		}
	}
	k.t.Fatalf("status knows of no %s: %v", handle, st)
	return nil
}

// status: containerd asks `features`, and tells the kubelet. Debian's runc
// has too few.
func (k kubelet) status() {
	f := k.handler()
	if !f.RecursiveReadOnlyMounts || !f.UserNamespaces {
		if !mockerRuns(k) {
			k.t.Skipf("this runc has not all: %v", f)
		}
		k.t.Errorf("features: %v", f)
	}
}

func mockerRuns(k kubelet) bool { return strings.Contains(k.t.Name(), "/mocker/") }

// life of a pod with one container, and what the kubelet asks about it.
func (k kubelet) life() {
	pod, sandbox := k.pod(nil)
	id := k.container(pod, sandbox)
	k.sh(id, "hostname; ls /proc/1/root/bin/plain; grep Seccomp: /proc/self/status", "pod\n/bin/plain\nSeccomp:\t2\n")
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

// mounts in a pod with a user namespace: the ids of a volume are mapped, and
// what is mounted below a read-only one is read-only too.
func (k kubelet) mounts() {
	if f := k.handler(); !mockerRuns(k) && (!f.RecursiveReadOnlyMounts || !f.UserNamespaces) {
		k.t.Skipf("this runc has not all: %v", f)
	}
	volume := k.t.TempDir()
	k.must("chmod", os.Chmod(filepath.Dir(volume), 0o755)) // for the users of the namespace
	sub := filepath.Join(volume, "sub")
	k.must("mkdir", os.Mkdir(sub, 0o755))
	k.must("mount", unix.Mount("tmpfs", sub, "tmpfs", 0, ""))
	k.t.Cleanup(func() { k.must("unmount", unix.Unmount(sub, 0)) })
	k.must("chown", os.Chown(volume, 7, 8))
	users := []*cri.IDMapping{{HostId: 100000, ContainerId: 0, Length: 65536}}
	pod, sandbox := k.pod(&cri.UserNamespace{Mode: cri.NamespaceMode_POD, Uids: users, Gids: users})
	id := k.container(pod, sandbox,
		&cri.Mount{ContainerPath: "/volume", HostPath: volume, Readonly: true, RecursiveReadOnly: true},
		&cri.Mount{ContainerPath: "/mapped", HostPath: volume, UidMappings: users, GidMappings: users},
	)
	k.sh(id, "tr -s ' ' </proc/self/uid_map; stat -c %u:%g / /mapped /volume", " 0 100000 65536\n0:0\n7:8\n65534:65534\n")
	k.sh(id, "touch /volume/sub/file 2>&1; true", "touch: /volume/sub/file: Read-only file system\n")
	k.sh(id, "touch /mapped/file && chown 7:8 /mapped/file && stat -c %u:%g /mapped/file", "7:8\n")
	var st unix.Stat_t
	if k.must("stat", unix.Stat(filepath.Join(volume, "file"), &st)); st.Uid != 7 || st.Gid != 8 {
		k.t.Errorf("outside the file is %d's and %d's", st.Uid, st.Gid)
	}
	_, err := k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: 0})
	k.must("StopContainer", err)
}
