/* Makes BPF programs with libseccomp, for TestLikeLibseccomp.
 *
 * stdin, one profile after the other, numbers in hexadecimal:
 *	new ACTION
 *	arch TOKEN
 *	rule ACTION NAME COUNT [ARG OP A B]...
 *	end
 * stdout, for each: the first error or 0 (int32), the number of instructions
 * (uint32), the instructions. The error is -EINTR where libseccomp does not come
 * to an end within a second: some rules that contradict each other make a
 * loop of its tree.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static FILE *in;
static scmp_filter_ctx ctx;
static int32_t failed;
static int rules;

static void note(int rc)
{
	if (rc < 0 && failed == 0)
		failed = rc;
}

static int rule(void)
{
	struct scmp_arg_cmp args[6];
	char name[128];
	uint32_t action;
	unsigned int count, i;
	int nr;

	if (fscanf(in, "%" SCNx32 " %127s %x", &action, name, &count) != 3 || count > 6)
		return -1;
	for (i = 0; i < count; i++) {
		unsigned int arg, op;
		uint64_t a, b;

		if (fscanf(in, "%x %x %" SCNx64 " %" SCNx64, &arg, &op, &a, &b) != 4)
			return -1;
		args[i] = (struct scmp_arg_cmp){ arg, op, a, b };
	}
	rules++;
	nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		note(-1000); /* the test asked for a name that is not there */
	else
		note(seccomp_rule_add_array(ctx, action, nr, count, args));
	return 0;
}

static int end(void)
{
	static char program[1 << 20];
	int fd = memfd_create("program", 0);
	ssize_t size = 0;
	uint32_t count;

	if (rules > 32) /* as runc does it: a binary tree */
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (failed == 0)
		note(seccomp_export_bpf(ctx, fd));
	if (failed == 0)
		size = pread(fd, program, sizeof(program), 0);
	close(fd);
	seccomp_release(ctx);
	count = size / 8;
	fwrite(&failed, sizeof(failed), 1, stdout);
	fwrite(&count, sizeof(count), 1, stdout);
	fwrite(program, 8, count, stdout);
	return fflush(stdout);
}

static int profile(char *text, size_t size)
{
	char word[16];
	uint32_t number;

	in = fmemopen(text, size, "r");
	if (in == NULL)
		return 1;
	while (fscanf(in, "%15s", word) == 1) {
		if (strcmp(word, "new") == 0 && fscanf(in, "%" SCNx32, &number) == 1) {
			ctx = seccomp_init(number);
			if (ctx == NULL)
				return 1;
		} else if (strcmp(word, "arch") == 0 && fscanf(in, "%" SCNx32, &number) == 1) {
			seccomp_arch_add(ctx, number); /* the native one is there already */
		} else if (strcmp(word, "rule") == 0) {
			if (failed == 0 && rule() < 0)
				return 1;
			if (failed != 0) /* its tree may be damaged */
				break;
		} else {
			break;
		}
	}
	return end() != 0;
}

int main(void)
{
	static char text[1 << 20];
	size_t size = 0;

	while (fgets(text + size, sizeof(text) - size, stdin) != NULL) {
		int status, whole = strcmp(text + size, "end\n") == 0;
		pid_t child;

		size += strlen(text + size);
		if (!whole)
			continue;
		child = fork();
		if (child == 0) {
			alarm(1);
			_exit(profile(text, size));
		}
		if (waitpid(child, &status, 0) != child || (WIFEXITED(status) && WEXITSTATUS(status) != 0))
			return 1;
		if (WIFSIGNALED(status)) {
			int32_t answer[2] = { -EINTR, 0 };

			fwrite(answer, sizeof(answer), 1, stdout);
			fflush(stdout);
		}
		size = 0;
	}
	return 0;
}
