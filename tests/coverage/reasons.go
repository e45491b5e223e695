package coverage

import "strings"

// Reason is why no test shows a property on any machine; "" if there is none.
// It stands in docs/spec-coverage.md where the tests would, as long as none has
// shown the property.
func Reason(property string) string {
	if reasons[property] == "" && strings.HasPrefix(property, archs) {
		return "accepted, and means nothing: mocker is built for amd64 and arm64, whose kernels take no such calls (tests/seccomp TestForeignArchitectures)"
	}
	return reasons[property]
}

const archs = "linux.seccomp.architectures="

var reasons = map[string]string{
	"linux.resources.memory.kernel":                     "no kernel that mocker runs on has the limit: a warning (tests/properties TestMemoryIgnored)",
	"linux.personality.flags":                           "the specification has no flags: any is an error (specconv TestConvertRefuses)",
	"process.scheduler.policy=SCHED_ISO":                "the number is reserved, and no kernel has it: an error (specconv TestConvertRefuses)",
	"process.scheduler.flags=SCHED_FLAG_UTIL_CLAMP_MIN": noClamps,
	"process.scheduler.flags=SCHED_FLAG_UTIL_CLAMP_MAX": noClamps,
}

const noClamps = "no kernel at hand has CONFIG_UCLAMP_TASK: an error that says so (tests/properties TestSchedulerClamps)"
