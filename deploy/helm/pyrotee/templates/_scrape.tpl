{{/* The endpoint settings that ServiceMonitor and PodMonitor share. */}}
{{- define "pyrotee.scrape" -}}
path: /metrics
{{- with .tlsConfig }}
scheme: https
tlsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
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
