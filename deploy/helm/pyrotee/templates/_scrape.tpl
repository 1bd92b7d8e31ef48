{{/* The endpoint settings that ServiceMonitor and PodMonitor share. Call with (dict "monitor" M "root" .). */}}
{{- define "pyrotee.scrape" -}}
path: /metrics
{{- $tls := include "pyrotee.tls.scrape" (dict "tlsConfig" .monitor.tlsConfig "root" .root) }}
{{- if or $tls (include "pyrotee.tls.admin" .root) }}
scheme: https
{{- end }}
{{- with $tls }}
tlsConfig:
  {{- . | nindent 2 }}
{{- end }}
{{- with .monitor }}
{{- with .interval }}
interval: {{ . }}
{{- end }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .relabelings }}
relabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}
