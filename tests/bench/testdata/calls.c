// calls NUMBER [filter]
//
// Prints how many nanoseconds a getppid takes, in the best of 100 runs of
// NUMBER: so short that most of them are disturbed by nobody. With "filter" it
// is under a filter of one instruction that it sets itself.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(int argc, char **argv)
{
	long number = argc > 1 ? atol(argv[1]) : 0;
	if (number <= 0)
		return 2;
	if (argc > 2) {
		struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
		struct sock_fprog program = {1, &allow};
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
			perror("filter");
			return 1;
		}
	}
	double best = 1e18;
	for (int run = 0; run < 100; run++) {
		double from = now();
		for (long i = 0; i < number; i++)
			syscall(SYS_getppid);
		double took = (now() - from) / number;
		if (took < best)
			best = took;
	}
	printf("%.3f\n", best);
	return 0;
}
