{{- define "sage.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "sage.labels" -}}
app.kubernetes.io/name: sage
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "sage.selector" -}}
app.kubernetes.io/name: sage
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "sage.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "sage.intakeHost" -}}
{{ include "sage.name" . }}-analyzer.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "sage.intakeScheme" -}}
{{ if .Values.tls.analyzerSecret }}tls+tcp{{ else }}tcp{{ end }}
{{- end -}}
