package commands

import (
	"fmt"
	"strings"
)

// parseCgroups reads the values of exec --cgroup: one path for all
// controllers, or paths for some each.
func parseCgroups(values []string) (map[string]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	paths := map[string]string{}
	for _, value := range values {
		controllers, path, ok := strings.Cut(value, ":")
		if !ok {
			if len(values) > 1 {
				return nil, fmt.Errorf("--cgroup %q: one of several needs controllers, as in cpu,memory:PATH", value)
			}
			return map[string]string{"": value}, nil
		}
		for _, name := range strings.Split(controllers, ",") {
			if name == "" {
				return nil, fmt.Errorf("--cgroup %q: an empty name of a controller", value)
			}
			if _, twice := paths[name]; twice {
				return nil, fmt.Errorf("--cgroup %q: controller %s is given twice", value, name)
			}
			paths[name] = path
		}
	}
	return paths, nil
}
