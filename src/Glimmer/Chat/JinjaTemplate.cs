using Glimmer.Chat.Jinja;

namespace Glimmer.Chat;

/// <summary>A Jinja template, read once and rendered any number of times, on any number of threads.</summary>
/// <remarks>
/// The language is what chat templates use, with the semantics of Jinja2 3.1 in a sandbox: if, for (with else, filter, break, continue), set (also of
/// blocks and of namespaces), macro and call, filter and with blocks, raw, generation, comments, white space control; Python's expressions, string and
/// mapping methods; the filters and tests of Jinja2 that act on data. Templates see data read-only and nothing of the host.
/// Inheritance and includes are refused when the template is read.
/// </remarks>
public sealed class JinjaTemplate
{
    private readonly Block _body;
    private readonly JinjaOptions _options;

    private JinjaTemplate(string source, Block body, JinjaOptions options)
    {
        Source = source;
        _body = body;
        _options = options;
    }

    /// <summary>The template's text.</summary>
    public string Source { get; }

    /// <summary>Reads a template.</summary>
    /// <exception cref="JinjaException">The template is malformed or uses something that is not supported; the message names the line.</exception>
    public static JinjaTemplate Parse(string source, JinjaOptions? options = null)
    {
        options ??= new JinjaOptions();
        List<Token> tokens = new TemplateLexer(source, options).ReadAll();
        return new JinjaTemplate(source, new StatementParser(new TokenStream(tokens, Math.Min(options.MaxDepth, 100))).ParseTemplate(), options);
    }

    /// <summary>Renders the template.</summary>
    /// <param name="variables">Variables by name; an absent one is undefined.</param>
    /// <exception cref="JinjaException">An expression failed, a limit was exceeded or the template raised; the message names the line.</exception>
    public string Render(DataObject variables) => RenderToBuilder(variables).ToString();

    /// <summary>Renders the template and reports which parts came from it and which from the variables.</summary>
    /// <param name="variables">Variables by name; an absent one is undefined.</param>
    /// <exception cref="JinjaException">An expression failed, a limit was exceeded or the template raised; the message names the line.</exception>
    public RenderedText RenderSegments(DataObject variables) => RenderedText.From(RenderToBuilder(variables));

    private TextBuilder RenderToBuilder(DataObject variables)
    {
        var context = new RenderContext(_options, variables);
        try
        {
            _body.Execute(context);
        }
        catch (TemplateFault fault)
        {
            throw new JinjaException(context.Line, fault.Message, fault.RaisedByTemplate, fault);
        }

        return context.Output;
    }
}
