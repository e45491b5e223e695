// peak FILE PROGRAM [ARGUMENT]...
//
// Runs a program and writes the most memory that it, or a child that it waited
// for, had resident, in KiB, to FILE. It is in C and static because the kernel
// counts what the process had resident that became the program.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	pid_t pid = fork();
	if (pid < 0)
		return 125;
	if (pid == 0) {
		execv(argv[2], argv + 2);
		_exit(127);
	}
	struct rusage usage;
	int status;
	if (wait4(pid, &status, 0, &usage) != pid)
		return 125;
	FILE *file = fopen(argv[1], "w");
	if (!file || fprintf(file, "%ld\n", usage.ru_maxrss) < 0 || fclose(file))
		return 125;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
