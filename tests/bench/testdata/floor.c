// floor ROOT PROGRAM [ARGUMENT]...
//
// The least that a container of PROGRAM on ROOT can cost: the system calls
// that the bundle of the benchmark asks for and nothing else. No configuration,
// no state, no cgroup, no check of anything: nobody should use it.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void must(int failed, const char *what)
{
	if (failed) {
		perror(what);
		_exit(125);
	}
}

static void put(const char *source, const char *target, const char *type, unsigned long flags, const char *data)
{
	must(mount(source, target, type, flags, data) != 0, target);
}

static void device(const char *path, unsigned minor_of, unsigned major_of)
{
	must(mknod(path, S_IFCHR | 0666, makedev(major_of, minor_of)) != 0, path);
}

static void filesystems(void)
{
	const unsigned long no = MS_NOSUID | MS_NOEXEC | MS_NODEV;
	put("proc", "proc", "proc", 0, NULL);
	put("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
	must(mkdir("dev/pts", 0755) || mkdir("dev/shm", 0755) || mkdir("dev/mqueue", 0755), "dev");
	put("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
	put("shm", "dev/shm", "tmpfs", no, "mode=1777,size=65536k");
	put("mqueue", "dev/mqueue", "mqueue", no, NULL);
	put("sysfs", "sys", "sysfs", no | MS_RDONLY, NULL);
	device("dev/null", 3, 1);
	device("dev/zero", 5, 1);
	device("dev/full", 7, 1);
	device("dev/random", 8, 1);
	device("dev/urandom", 9, 1);
	device("dev/tty", 0, 5);
	must(symlink("/proc/self/fd", "dev/fd") || symlink("/proc/self/fd/0", "dev/stdin") ||
		symlink("/proc/self/fd/1", "dev/stdout") || symlink("/proc/self/fd/2", "dev/stderr") ||
		symlink("pts/ptmx", "dev/ptmx"), "links in dev");
}

// Paths that this kernel lacks are left out, as a runtime does.
static void hide(void)
{
	static const char *const files[] = {"proc/kcore", "proc/keys", "proc/timer_list"};
	static const char *const dirs[] = {"proc/acpi", "proc/scsi", "sys/firmware"};
	static const char *const readonly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
		must(mount("dev/null", files[i], NULL, MS_BIND, NULL) && errno != ENOENT, files[i]);
	for (unsigned i = 0; i < sizeof dirs / sizeof *dirs; i++)
		must(mount("tmpfs", dirs[i], "tmpfs", MS_RDONLY, NULL) && errno != ENOENT, dirs[i]);
	for (unsigned i = 0; i < sizeof readonly / sizeof *readonly; i++) {
		if (mount(readonly[i], readonly[i], NULL, MS_BIND | MS_REC, NULL)) {
			must(errno != ENOENT, readonly[i]);
			continue;
		}
		put(NULL, readonly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	}
}

static void inside(const char *root, char **program)
{
	static char *const environment[] = {"PATH=/bin", NULL};
	must(setsid() < 0, "setsid");
	put(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
	put(root, root, NULL, MS_BIND | MS_REC, NULL);
	must(chdir(root) != 0, root);
	filesystems();
	must(sethostname("floor", 5) != 0, "sethostname");
	hide();
	put(NULL, root, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	must(syscall(SYS_pivot_root, ".", ".") != 0, "pivot_root");
	must(umount2(".", MNT_DETACH) != 0, "umount");
	must(chdir("/") != 0, "/");
	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0, "no_new_privs");
	execve(program[0], program, environment);
	must(1, program[0]);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: floor ROOT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	struct clone_args args = {
		.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS,
		.exit_signal = SIGCHLD,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	must(pid < 0, "clone3");
	if (pid == 0)
		inside(argv[1], argv + 2);
	int status;
	must(waitpid(pid, &status, 0) != pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
