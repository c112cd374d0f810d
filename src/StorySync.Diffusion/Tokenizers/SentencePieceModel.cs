using Google.Protobuf;

namespace StorySync.Diffusion.Tokenizers;

/// <summary>What a SentencePiece file (<c>spiece.model</c>, a protobuf <c>ModelProto</c>) says about pieces and normalization.</summary>
internal sealed class SentencePieceModel
{
    private const int UnigramModelType = 1;

    private int modelType = UnigramModelType;

    /// <summary>Gets the pieces in the order of their ids, with their log probabilities.</summary>
    public List<(string Piece, double Score)> Pieces { get; } = [];

    /// <summary>Gets the pieces that are cut out of the text before the model sees it: control and user-defined symbols.</summary>
    public List<string> SpecialPieces { get; } = [];

    /// <summary>Gets the normalization map, empty where the model does not normalize.</summary>
    public byte[] PrecompiledCharsMap { get; private set; } = [];

    /// <exception cref="InvalidDataException">The bytes are no unigram SentencePiece model.</exception>
    public static SentencePieceModel Parse(byte[] bytes)
    {
        var model = new SentencePieceModel();
        try
        {
            model.Read(new CodedInputStream(bytes));
        }
        catch (InvalidProtocolBufferException e)
        {
            throw new InvalidDataException($"it is no SentencePiece model: {e.Message}", e);
        }
        if (model.Pieces.Count == 0)
        {
            throw new InvalidDataException("it is no SentencePiece model: it holds no pieces");
        }

        if (model.modelType != UnigramModelType)
        {
            throw new InvalidDataException(
                $"it is a SentencePiece model of type {model.modelType}, where {UnigramModelType} (unigram) was expected");
        }

        return model;
    }

    private void Read(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case Field.Pieces:
                    ReadPiece(input.ReadBytes().CreateCodedInput());
                    break;
                case Field.TrainerSpec:
                    ReadTrainerSpec(input.ReadBytes().CreateCodedInput());
                    break;
                case Field.NormalizerSpec:
                    ReadNormalizerSpec(input.ReadBytes().CreateCodedInput());
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }
    }

    private void ReadPiece(CodedInputStream input)
    {
        string piece = "";
        float score = 0;
        int type = 0;
        while (input.ReadTag() is var tag and not 0)
        {
            switch (WireFormat.GetTagFieldNumber(tag))
            {
                case Field.Piece:
                    piece = input.ReadString();
                    break;
                case Field.Score:
                    score = input.ReadFloat();
                    break;
                case Field.Type:
                    type = input.ReadEnum();
                    break;
                default:
                    input.SkipLastField();
                    break;
            }
        }
        Pieces.Add((piece, score));
        if (type is PieceType.Control or PieceType.UserDefined)
        {
            SpecialPieces.Add(piece);
        }
    }

    private void ReadTrainerSpec(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
        {
            if (WireFormat.GetTagFieldNumber(tag) == Field.ModelType)
            {
                modelType = input.ReadEnum();
            }
            else
            {
                input.SkipLastField();
            }
        }
    }

    private void ReadNormalizerSpec(CodedInputStream input)
    {
        while (input.ReadTag() is var tag and not 0)
        {
            if (WireFormat.GetTagFieldNumber(tag) == Field.PrecompiledCharsMap)
            {
                PrecompiledCharsMap = input.ReadBytes().ToByteArray();
            }
            else
            {
                input.SkipLastField();
            }
        }
    }

    /// <summary>Field numbers of sentencepiece_model.proto.</summary>
    private static class Field
    {
        public const int Pieces = 1, TrainerSpec = 2, NormalizerSpec = 3;
        public const int Piece = 1, Score = 2, Type = 3;
        public const int ModelType = 3;
        public const int PrecompiledCharsMap = 2;
    }

    private static class PieceType
    {
        public const int Control = 3, UserDefined = 4;
    }
}
