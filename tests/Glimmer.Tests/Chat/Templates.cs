namespace Glimmer.Tests.Chat;

/// <summary>Templates that tests need without recorded data.</summary>
internal static class Templates
{
    /// <summary>The template in the metadata of SmolLM2-135M-Instruct (Apache-2.0).</summary>
    public const string SmolLM2 =
        "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, "
        + "trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
        + "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

    /// <summary>A small template in the manner of GLM-4.7, written for these tests.</summary>
    public const string Compact =
        """
        [gMASK]<sop>
        {%- if tools -%}
        <|system|>Tools:
        {% for tool in tools %}
        {{ tool | tojson }}
        {% endfor %}
        {%- endif -%}
        {%- for m in messages -%}
        <|{{ 'observation' if m.role == 'tool' else m.role }}|>
        {%- if m.role == 'assistant' -%}
        {{ '<think>' + m.reasoning_content + '</think>' if m.reasoning_content else '</think>' }}{{ (m.content or '').strip() }}
        {%- for call in m.tool_calls or [] -%}
        <tool_call>{{ call.function.name }}
        {%- for k, v in call.function.arguments.items() -%}
        <arg_key>{{ k }}</arg_key><arg_value>{{ v if v is string else v | tojson }}</arg_value>
        {%- endfor -%}
        </tool_call>
        {%- endfor -%}
        {%- else -%}
        {{ m.content }}
        {%- endif -%}
        {%- endfor -%}
        {%- if add_generation_prompt -%}<|assistant|>{{ '</think>' if enable_thinking is defined and not enable_thinking else '<think>' }}{%- endif -%}
        """;
}
