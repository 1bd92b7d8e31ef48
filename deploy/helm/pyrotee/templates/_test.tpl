{{/* The pod of `helm test`. */}}

{{/* Labels of the test's pod. They differ from the relay's labels, because the relay's Services must not select the test. */}}
{{- define "pyrotee.testLabels" -}}
app.kubernetes.io/name: {{ include "pyrotee.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/*
The container that waits until the relay is ready; empty where the chart does not know the certificate of the admin port. The test trusts
exactly the certificate of the Secret, so it needs no authority, but the certificate must have the name of the Service.
*/}}
{{- define "pyrotee.test.ready" -}}
{{- $tls := include "pyrotee.tls.admin" . }}
{{- if and .Values.adminService.enabled (or (not $tls) .Values.tls.admin.secretName) -}}
- name: ready
  args:
    - healthcheck
    - --admin
    {{- if $tls }}
    - https://{{ include "pyrotee.adminName" . }}:{{ .Values.adminService.port }}
    - --ca-file
    - {{ include "pyrotee.tlsDir" . }}/admin/tls.crt
    {{- else }}
    - http://{{ include "pyrotee.fullname" . }}-admin:{{ .Values.adminService.port }}
    {{- end }}
  {{- include "pyrotee.testContainer" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The container that sends a profile; empty where the chart does not know the relay's certificate, or the certificate that the relay requires. */}}
{{- define "pyrotee.test.send" -}}
{{- $tls := include "pyrotee.tls.listen" . }}
{{- $stranger := and (include "pyrotee.tls.requires" (list . "listen-tls")) (not .Values.test.clientSecretName) }}
{{- if or (not $tls) (and .Values.tls.listen.secretName (not $stranger)) -}}
- name: send
  args:
    - send
    - --to
    {{- if $tls }}
    - https://{{ include "pyrotee.fullname" . }}.{{ include "pyrotee.namespace" . }}.svc:{{ .Values.service.port }}
    - --ca-file
    - {{ include "pyrotee.tlsDir" . }}/listen/tls.crt
    {{- if .Values.test.clientSecretName }}
    - --cert-file
    - {{ include "pyrotee.tlsDir" . }}/client/tls.crt
    - --key-file
    - {{ include "pyrotee.tlsDir" . }}/client/tls.key
    {{- end }}
    {{- else }}
    - http://{{ include "pyrotee.fullname" . }}:{{ .Values.service.port }}
    {{- end }}
    - --name
    - pyrotee.helm-test
  {{- include "pyrotee.testContainer" . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The sources of the test's volume of certificates, without the relay's keys; empty without any. */}}
{{- define "pyrotee.test.certificates" -}}
{{- range $name := list "listen" "admin" }}
{{- with tpl (get $.Values.tls $name).secretName $ }}
- secret:
    name: {{ . | quote }}
    items:
      - { key: tls.crt, path: {{ $name }}/tls.crt }
{{- end }}
{{- end }}
{{- with tpl .Values.test.clientSecretName . }}
- secret:
    name: {{ . | quote }}
    items:
      - { key: tls.crt, path: client/tls.crt }
      - { key: tls.key, path: client/tls.key }
{{- end }}
{{- end }}

{{- define "pyrotee.testContainer" -}}
image: {{ include "pyrotee.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
resources:
  requests:
    cpu: 10m
    memory: 16Mi
  limits:
    memory: 64Mi
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- if include "pyrotee.test.certificates" . }}
volumeMounts:
  - name: pyrotee-tls
    mountPath: {{ include "pyrotee.tlsDir" . }}
    readOnly: true
{{- end }}
{{- end }}
