{{/*
For the chart of an application that has this one as a dependency, with `mode: sidecar`. The context of each is that of the
dependency: {{ include "pyrotee.sidecar" .Subcharts.pyrotee }}. README.md shows all of them in a Deployment.
*/}}

{{/* One element for `initContainers`, the first; with `sidecar.native: false` one for `containers`. */}}
{{- define "pyrotee.sidecar" -}}
{{- include "pyrotee.container" (dict "root" . "form" (.Values.sidecar.native | ternary "native" "ordinary")) }}
{{- end }}

{{/* Elements for the pod's `volumes`. */}}
{{- define "pyrotee.sidecar.volumes" -}}
{{- include "pyrotee.volumes" . }}
{{- end }}

{{/* For the pod's annotations: starts it anew when the configuration changes. */}}
{{- define "pyrotee.sidecar.annotations" -}}
checksum/pyrotee: {{ include "pyrotee.checksum" . }}
{{- end }}

{{/* For the pod's labels: by this one the PodMonitor finds it. */}}
{{- define "pyrotee.sidecar.labels" -}}
pyrotee-sidecar: {{ include "pyrotee.fullname" . }}
{{- end }}

{{/* Seconds that the relay may take after the application: add them to what the application takes itself. */}}
{{- define "pyrotee.sidecar.stopSeconds" -}}
{{- include "pyrotee.stopSeconds" . }}
{{- end }}
