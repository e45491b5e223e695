package specconv

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/mocker-runtime/mocker/libcontainer/config"
)

// landlockKey is the annotation that confines a container by Landlock.
const landlockKey = "mocker.landlock"

// convertLandlock reads the annotation: words "RIGHTS:PATH" with spaces in
// between, where RIGHTS are some of r, w and x.
func convertLandlock(spec *specs.Spec, cfg *config.Config) error {
	text, given := spec.Annotations[landlockKey]
	if !given {
		return nil
	}
	var bad problems
	words := strings.Fields(text)
	if len(words) == 0 {
		bad.add(refuse("annotations."+landlockKey, text, "no rule, so that not even the program could be executed"))
	}
	for _, word := range words {
		rule, err := parseLandlock(word)
		if err != nil {
			bad.add(refuse("annotations."+landlockKey, word, "%w", err))
		}
		cfg.Traits.Landlock = append(cfg.Traits.Landlock, rule)
	}
	return bad.err()
}

func parseLandlock(word string) (config.LandlockRule, error) {
	rights, file, ok := strings.Cut(word, ":")
	rule := config.LandlockRule{Path: path.Clean(file)}
	if !ok || rights == "" {
		return rule, fmt.Errorf("want RIGHTS:PATH, with some of r, w and x for RIGHTS")
	}
	for _, letter := range rights {
		right := map[rune]*bool{'r': &rule.Read, 'w': &rule.Write, 'x': &rule.Execute}[letter]
		if right == nil {
			return rule, fmt.Errorf("%q is none of r, w and x", letter)
		}
		if *right {
			return rule, fmt.Errorf("%q is given twice", letter)
		}
		*right = true
	}
	if !path.IsAbs(file) || strings.Contains(file, "\x00") {
		return rule, fmt.Errorf("%q is not an absolute path", file)
	}
	return rule, nil
}
