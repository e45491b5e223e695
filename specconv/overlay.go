package specconv

import (
	"path/filepath"
	"strings"
)

// absoluteLayers makes the directories of an overlay absolute. Relative ones
// are taken from the bundle, as the sources of bind mounts are (config.md,
// "Mounts", says nothing of them).
func absoluteLayers(data []string, bundle string) []string {
	list := make([]string, len(data))
	for i, option := range data {
		key, value, _ := strings.Cut(option, "=")
		switch key {
		case "upperdir", "workdir":
			value = absoluteLayer(value, bundle)
		case "lowerdir+", "datadir+": // these are taken literally
			if value != "" && !filepath.IsAbs(value) {
				value = filepath.Join(bundle, value)
			}
		case "lowerdir":
			layers := splitLayers(value)
			for k := range layers {
				layers[k] = absoluteLayer(layers[k], bundle)
			}
			value = strings.Join(layers, ":")
		default:
			list[i] = option
			continue
		}
		list[i] = key + "=" + value
	}
	return list
}

// layerEscapes protects what overlayfs would take for the end of a path.
var layerEscapes = strings.NewReplacer(`\`, `\\`, ":", `\:`, ",", `\,`)

func absoluteLayer(layer, bundle string) string {
	if layer == "" || filepath.IsAbs(layer) {
		return layer
	}
	return layerEscapes.Replace(bundle) + "/" + layer
}

// splitLayers splits at colons that are not escaped. Two in a row, before
// layers that only hold data, give an empty one.
func splitLayers(value string) []string {
	var layers []string
	start := 0
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case ':':
			layers = append(layers, value[start:i])
			start = i + 1
		}
	}
	return append(layers, value[start:])
}
