// Package properties shows what the rarer properties of a config.json do, as
// seen from inside of the container: schedulers, I/O priority, processors,
// personality, memory policy, network devices, classes of service; what a
// service manager and an engine hand over with sockets; and the annotations
// that crun has as well. It has tests only.
package properties
