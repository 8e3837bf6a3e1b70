using Glimmer.Operations;
using Glimmer.Tensors;

namespace Glimmer.Models.Lora;

/// <summary>One tensor of an adapter file and the trained parameters whose numbers it holds.</summary>
/// <remarks>
/// PEFT stacks the factors of routed experts: A [E r, inputs] has row <c>e r + j</c> for row j of expert e, B [outputs, r E] has column <c>j E + e</c> for column j of expert e, and the rows of
/// the gate come before those of up. Here every expert has parameters of its own.
/// </remarks>
internal sealed class LoraTensor(string name, int[] shape)
{
    private readonly List<Part> _parts = [];

    /// <summary>Key in the file.</summary>
    public string Name { get; } = name;

    /// <summary>Shape in the file.</summary>
    public int[] Shape { get; } = shape;

    /// <summary>The parameters.</summary>
    public IEnumerable<Parameter> Parameters => _parts.Select(part => part.Parameter);

    private int Columns => Shape[^1];

    /// <summary>A tensor that is one parameter.</summary>
    public static LoraTensor Of(Parameter parameter) => new LoraTensor(parameter.Name, parameter.Shape.ToArray()).With(parameter);

    /// <summary>Adds a parameter: its element (i, j) is element (firstRow + i, firstColumn + j columnStride) here.</summary>
    public LoraTensor With(Parameter parameter, int firstRow = 0, int firstColumn = 0, int columnStride = 1)
    {
        _parts.Add(new Part(parameter, firstRow, firstColumn, columnStride));
        return this;
    }

    /// <summary>The numbers of the file's tensor, from those of the parameters.</summary>
    /// <param name="numbers">What to take of each parameter: its value, its gradient.</param>
    public float[] Gather(Func<Parameter, Tensor?> numbers)
    {
        var whole = new float[Tensor.CountOf(Shape)];
        foreach (Part part in _parts)
        {
            ReadOnlySpan<float> values = numbers(part.Parameter)!.F32;
            int columns = part.Parameter.Shape[^1];
            for (int i = 0; i < values.Length; i++)
                whole[At(part, i, columns)] = values[i];
        }

        return whole;
    }

    /// <summary>Puts the numbers of the file's tensor into the parameters.</summary>
    public void Scatter(ReadOnlySpan<float> whole)
    {
        foreach (Part part in _parts)
        {
            Span<float> values = part.Parameter.Value!.F32;
            int columns = part.Parameter.Shape[^1];
            for (int i = 0; i < values.Length; i++)
                values[i] = whole[At(part, i, columns)];
            part.Parameter.Touch();
        }
    }

    private int At(in Part part, int i, int columns) => ((part.FirstRow + (i / columns)) * Columns) + part.FirstColumn + (i % columns * part.ColumnStride);

    private readonly record struct Part(Parameter Parameter, int FirstRow, int FirstColumn, int ColumnStride);
}
